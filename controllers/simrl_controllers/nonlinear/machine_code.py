"""Turn CasADi SX functions into machine code with LLVM, without a C compiler.

CasADi evaluates an SX function in a small interpreter, or writes C that needs a compiler on the
user's machine.  An SX function is a straight line of scalar operations, so it translates line by
line into LLVM's intermediate language, which llvmlite (already here, since Numba stands on it)
compiles in a fraction of a second.  Numba kernels call the code by its address (`call`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import casadi as ca
import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_BINARY = {
    ca.OP_ADD: "fadd",
    ca.OP_SUB: "fsub",
    ca.OP_MUL: "fmul",
    ca.OP_DIV: "fdiv",
}
_COMPARE = {ca.OP_LT: "olt", ca.OP_LE: "ole", ca.OP_EQ: "oeq", ca.OP_NE: "une"}
_INTRINSIC = {
    ca.OP_SQRT: "llvm.sqrt.f64",
    ca.OP_SIN: "llvm.sin.f64",
    ca.OP_COS: "llvm.cos.f64",
    ca.OP_EXP: "llvm.exp.f64",
    ca.OP_LOG: "llvm.log.f64",
    ca.OP_FABS: "llvm.fabs.f64",
    ca.OP_FLOOR: "llvm.floor.f64",
    ca.OP_CEIL: "llvm.ceil.f64",
}
_INTRINSIC_2 = {
    ca.OP_POW: "llvm.pow.f64",
    ca.OP_CONSTPOW: "llvm.pow.f64",
    ca.OP_FMIN: "llvm.minnum.f64",
    ca.OP_FMAX: "llvm.maxnum.f64",
    ca.OP_COPYSIGN: "llvm.copysign.f64",
}
_LIBM = {
    ca.OP_TAN: "tan",
    ca.OP_ASIN: "asin",
    ca.OP_ACOS: "acos",
    ca.OP_ATAN: "atan",
    ca.OP_SINH: "sinh",
    ca.OP_COSH: "cosh",
    ca.OP_TANH: "tanh",
    ca.OP_LOG1P: "log1p",
    ca.OP_EXPM1: "expm1",
}
_LIBM_2 = {ca.OP_ATAN2: "atan2", ca.OP_HYPOT: "hypot", ca.OP_FMOD: "fmod"}


@dataclass(frozen=True)
class MachineCode:
    """Hold a compiled function `code(in0, ..., out)` over contiguous float64 arrays.

    All outputs stand one after the other in `out`, each dense and row by row.  Structural zeros are
    never written: hand in an `out` that was zeros to begin with.
    """

    address: int
    """Where the code starts; valid as long as this object lives."""
    num_inputs: int
    """Number of input arrays, without `out`."""
    input_sizes: tuple[int, ...]
    """Length of each input."""
    offsets: tuple[int, ...]
    """Where each output starts in `out`; one more entry tells the whole length."""
    shapes: tuple[tuple[int, int], ...]
    """Rows and columns of each output."""
    engine: Any = field(repr=False)
    """LLVM's engine, which owns the code."""

    @property
    def size(self) -> int:
        """Length of `out`."""
        return self.offsets[-1]

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Evaluate once and return every output, dense; slow, for tests and set-up."""
        if len(inputs) != self.num_inputs:
            raise ValueError(f"expected {self.num_inputs} inputs, got {len(inputs)}")
        arrays = [np.ascontiguousarray(value, np.float64).ravel() for value in inputs]
        sizes = tuple(array.size for array in arrays)
        if sizes != self.input_sizes:
            raise ValueError(f"expected inputs of lengths {self.input_sizes}, got {sizes}")
        out = np.zeros(max(self.size, 1))
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (self.num_inputs + 1))
        kind(self.address)(*[array.ctypes.data for array in (*arrays, out)])
        return [
            out[start : start + rows * columns].reshape(rows, columns)
            for start, (rows, columns) in zip(self.offsets[:-1], self.shapes, strict=True)
        ]


def compile_functions(functions: Sequence[ca.Function]) -> list[MachineCode]:
    """Compile SX functions with dense inputs; ValueError names an operation without translation."""
    module = ir.Module(name="simrl_nonlinear")
    for index, function in enumerate(functions):
        if not function.is_a("SXFunction"):
            raise ValueError(f"{function.name()} is not an SX function: call its expand() first")
        _translate(module, f"f{index}", function)
    engine = _compile(str(module))
    result = []
    for index, function in enumerate(functions):
        shapes = tuple(function.size_out(i) for i in range(function.n_out()))
        result.append(
            MachineCode(
                address=engine.get_function_address(f"f{index}"),
                num_inputs=function.n_in(),
                input_sizes=tuple(function.numel_in(i) for i in range(function.n_in())),
                offsets=tuple(np.cumsum([0, *[rows * columns for rows, columns in shapes]])),
                shapes=shapes,
                engine=engine,
            )
        )
    return result


def _translate(module: ir.Module, name: str, function: ca.Function) -> None:
    """Write `function` into `module`, one instruction at a time."""
    double, pointer = ir.DoubleType(), ir.DoubleType().as_pointer()
    count = function.n_in()
    code = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer] * (count + 1)), name=name)
    for argument in code.args:
        argument.add_attribute("noalias")
    builder = ir.IRBuilder(code.append_basic_block("entry"))
    places = _output_places(function)
    work: dict[int, Any] = {}

    def at(argument: int, index: int) -> Any:
        where = ir.Constant(ir.IntType(64), index)
        return builder.gep(code.args[argument], [where], inbounds=True)

    for k in range(function.n_instructions()):
        op = function.instruction_id(k)
        if op == ca.OP_OUTPUT:
            index, nonzero = function.instruction_output(k)
            value = work[function.instruction_input(k)[0]]
            builder.store(value, at(count, places[index][nonzero]))
            continue
        target = function.instruction_output(k)[0]
        if op == ca.OP_CONST:
            work[target] = ir.Constant(double, function.instruction_constant(k))
        elif op == ca.OP_INPUT:
            index, nonzero = function.instruction_input(k)
            work[target] = builder.load(at(index, nonzero))
        else:
            operands = [work[i] for i in function.instruction_input(k)]
            work[target] = _operation(module, builder, op, operands, function.name())
    builder.ret_void()


def _operation(
    module: ir.Module, builder: ir.IRBuilder, op: int, operands: list[Any], owner: str
) -> Any:
    """Write one scalar operation and return its value."""
    double = ir.DoubleType()
    one, zero = ir.Constant(double, 1.0), ir.Constant(double, 0.0)
    first, last = operands[0], operands[-1]
    if op in _BINARY:
        return getattr(builder, _BINARY[op])(first, last)
    for table, arity in ((_INTRINSIC, 1), (_INTRINSIC_2, 2), (_LIBM, 1), (_LIBM_2, 2)):
        if op in table:
            kind = ir.FunctionType(double, [double] * arity)
            callee = cgutils.get_or_insert_function(module, kind, table[op])
            return builder.call(callee, operands[:arity])
    if op in _COMPARE:
        relation = _COMPARE[op]
        compare = builder.fcmp_unordered if relation == "une" else builder.fcmp_ordered
        sign = {"olt": "<", "ole": "<=", "oeq": "==", "une": "!="}[relation]
        return builder.select(compare(sign, first, last), one, zero)
    if op == ca.OP_IF_ELSE_ZERO:
        return builder.select(builder.fcmp_unordered("!=", first, zero), last, zero)
    if op == ca.OP_NOT:
        return builder.select(builder.fcmp_ordered("==", first, zero), one, zero)
    if op in (ca.OP_AND, ca.OP_OR):
        bits = [builder.fcmp_unordered("!=", value, zero) for value in (first, last)]
        both = builder.and_(*bits) if op == ca.OP_AND else builder.or_(*bits)
        return builder.select(both, one, zero)
    simple = {
        ca.OP_ASSIGN: lambda: first,
        ca.OP_NEG: lambda: builder.fneg(first),
        ca.OP_SQ: lambda: builder.fmul(first, first),
        ca.OP_TWICE: lambda: builder.fadd(first, first),
        ca.OP_INV: lambda: builder.fdiv(one, first),
        ca.OP_SIGN: lambda: builder.select(
            builder.fcmp_ordered(">", first, zero),
            one,
            builder.select(
                builder.fcmp_ordered("<", first, zero), ir.Constant(double, -1.0), first
            ),
        ),
    }
    if op not in simple:
        raise ValueError(f"{owner}: CasADi's operation {op} has no translation to machine code")
    return simple[op]()


def _output_places(function: ca.Function) -> list[list[int]]:
    """Return where each nonzero of each output stands among the dense rows of all outputs."""
    result, start = [], 0
    for index in range(function.n_out()):
        rows, columns = function.size_out(index)
        sparsity = function.sparsity_out(index)
        triplets = zip(*sparsity.get_triplet(), strict=True)
        result.append([start + row * columns + column for row, column in triplets])
        start += rows * columns
    return result


def _compile(source: str) -> Any:
    """Compile LLVM assembly for this machine and return the engine that owns the code."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(source)
    module.verify()
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
    )
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(target, tuning)
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, target)
    engine.finalize_object()
    return engine


@intrinsic
def _call(
    typing_context: Any, address: Any, in0: Any, in1: Any, in2: Any, out: Any
) -> tuple[Any, Any]:
    """Call compiled code of three inputs at `address` (int64)."""
    arrays = (in0, in1, in2, out)
    signature = types.void(types.int64, *arrays)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.DoubleType().as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 4)
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        data = [
            context.make_array(array)(context, builder, value).data
            for array, value in zip(arrays, arguments[1:], strict=True)
        ]
        builder.call(function, data)
        return context.get_dummy_value()

    return signature, generate


call: Any = _call
"""`call(address, in0, in1, in2, out)` in a kernel runs code on contiguous float64 arrays."""
