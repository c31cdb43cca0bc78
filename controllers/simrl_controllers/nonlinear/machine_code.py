"""Turn CasADi SX functions into machine code with LLVM, without a C compiler.

CasADi evaluates an SX function in a small interpreter, or writes C that needs a compiler on the
user's machine.  An SX function is a straight line of scalar operations, so it translates line by
line into LLVM's intermediate language, which llvmlite (already here, since Numba stands on it)
compiles in a fraction of a second.  Numba kernels call the code by its address (`call`).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import casadi as ca
import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_BINARY = {ca.OP_ADD: "fadd", ca.OP_SUB: "fsub", ca.OP_MUL: "fmul", ca.OP_DIV: "fdiv"}
_COMPARE = {ca.OP_LT: "olt", ca.OP_LE: "ole", ca.OP_EQ: "oeq", ca.OP_NE: "une"}
_CALLS = {
    ca.OP_SQRT: "llvm.sqrt.f64",
    ca.OP_SIN: "llvm.sin.f64",
    ca.OP_COS: "llvm.cos.f64",
    ca.OP_EXP: "llvm.exp.f64",
    ca.OP_LOG: "llvm.log.f64",
    ca.OP_FABS: "llvm.fabs.f64",
    ca.OP_FLOOR: "llvm.floor.f64",
    ca.OP_CEIL: "llvm.ceil.f64",
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
_CALLS_2 = {
    ca.OP_POW: "llvm.pow.f64",
    ca.OP_CONSTPOW: "llvm.pow.f64",
    ca.OP_FMIN: "llvm.minnum.f64",
    ca.OP_FMAX: "llvm.maxnum.f64",
    ca.OP_COPYSIGN: "llvm.copysign.f64",
    ca.OP_ATAN2: "atan2",
    ca.OP_HYPOT: "hypot",
    ca.OP_FMOD: "fmod",
}
_POINTER = "ptr" if llvm.llvm_version_info[0] >= 16 else "double*"


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
    lines = [f"declare double @{name}(double)" for name in _CALLS.values()]
    lines += [f"declare double @{name}(double, double)" for name in sorted({*_CALLS_2.values()})]
    for index, function in enumerate(functions):
        if not function.is_a("SXFunction"):
            raise ValueError(f"{function.name()} is not an SX function: call its expand() first")
        lines += _Translation(f"f{index}", function).lines
    engine = _compile("\n".join(lines))
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


class _Translation:
    """Write one function as lines of LLVM's language, one instruction at a time.

    The lines are text, since llvmlite's own builder takes longer than LLVM needs to compile them.
    """

    def __init__(self, name: str, function: ca.Function) -> None:
        self._owner, self._count = function.name(), 0
        arguments = [f"{_POINTER} noalias %a{i}" for i in range(function.n_in() + 1)]
        self.lines = [f"define void @{name}({', '.join(arguments)}) {{"]
        work: dict[int, str] = {}
        places = _output_places(function)
        for k in range(function.n_instructions()):
            op, inputs = function.instruction_id(k), function.instruction_input(k)
            outputs = function.instruction_output(k)
            if op == ca.OP_OUTPUT:
                place = self._at(function.n_in(), places[outputs[0]][outputs[1]])
                self.lines.append(f"store double {work[inputs[0]]}, {_POINTER} {place}")
            elif op == ca.OP_CONST:
                work[outputs[0]] = _number(function.instruction_constant(k))
            elif op == ca.OP_INPUT:
                place = self._at(*inputs)
                work[outputs[0]] = self._new(f"load double, {_POINTER} {place}")
            else:
                work[outputs[0]] = self._operation(op, [work[i] for i in inputs])
        self.lines += ["ret void", "}"]

    def _new(self, right: str) -> str:
        """Name the value of an instruction."""
        self._count += 1
        self.lines.append(f"%v{self._count} = {right}")
        return f"%v{self._count}"

    def _at(self, argument: int, index: int) -> str:
        """Return the address of a number of an argument."""
        return self._new(f"getelementptr inbounds double, {_POINTER} %a{argument}, i64 {index}")

    def _choose(self, condition: str, yes: str, no: str) -> str:
        return self._new(f"select i1 {condition}, double {yes}, double {no}")

    def _compare(self, relation: str, left: str, right: str) -> str:
        return self._new(f"fcmp {relation} double {left}, {right}")

    def _operation(self, op: int, operands: list[str]) -> str:
        """Write one scalar operation and return its value."""
        first, last = operands[0], operands[-1]
        one, zero = _number(1.0), _number(0.0)
        if op in _BINARY:
            return self._new(f"{_BINARY[op]} double {first}, {last}")
        if op in _CALLS:
            return self._new(f"call double @{_CALLS[op]}(double {first})")
        if op in _CALLS_2:
            return self._new(f"call double @{_CALLS_2[op]}(double {first}, double {last})")
        if op in _COMPARE:
            return self._choose(self._compare(_COMPARE[op], first, last), one, zero)
        if op == ca.OP_IF_ELSE_ZERO:
            return self._choose(self._compare("une", first, zero), last, zero)
        if op == ca.OP_NOT:
            return self._choose(self._compare("oeq", first, zero), one, zero)
        if op in (ca.OP_AND, ca.OP_OR):
            bits = [self._compare("une", value, zero) for value in (first, last)]
            name = "and" if op == ca.OP_AND else "or"
            return self._choose(self._new(f"{name} i1 {bits[0]}, {bits[1]}"), one, zero)
        if op == ca.OP_SIGN:
            below = self._choose(self._compare("olt", first, zero), _number(-1.0), first)
            return self._choose(self._compare("ogt", first, zero), one, below)
        if op == ca.OP_ASSIGN:
            return first
        if op == ca.OP_INV:
            return self._new(f"fdiv double {one}, {first}")
        simple = {ca.OP_NEG: "fneg double {0}", ca.OP_SQ: "fmul double {0}, {0}"}
        simple[ca.OP_TWICE] = "fadd double {0}, {0}"
        if op not in simple:
            raise ValueError(
                f"{self._owner}: CasADi's operation {op} has no translation to machine code"
            )
        return self._new(simple[op].format(first))


def _number(value: float) -> str:
    """Write a constant by its bits."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


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
