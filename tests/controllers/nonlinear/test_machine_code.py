import casadi as ca
import numpy as np
import pytest

from simrl_controllers.nonlinear.machine_code import compile_functions


def test_every_operation_gives_what_casadi_gives():
    x, u, p = (ca.SX.sym(name, size) for name, size in (("x", 3), ("u", 2), ("p", 1)))
    a, b = x[0], u[0]
    values = [a + b, a - b, a * b, a / b, -a, a**2, a**3, a**b, 1 / a, 2 * a]
    values += [f(a) for f in (ca.sqrt, ca.exp, ca.log, ca.sin, ca.cos, ca.tan, ca.fabs, ca.sign)]
    values += [f(0.3 * x[1]) for f in (ca.asin, ca.acos, ca.atan, ca.sinh, ca.cosh, ca.tanh)]
    values += [f(x[1]) for f in (ca.floor, ca.ceil, ca.log1p, ca.expm1)]
    values += [ca.atan2(a, b), ca.fmin(a, b), ca.fmax(a, b), ca.hypot(a, b), ca.fmod(a, b)]
    values += [ca.copysign(a, -b), ca.if_else(a < b, x[2], 3.0), ca.logic_not(a <= b)]
    values += [ca.logic_and(a < b, x[1] != 0), ca.logic_or(a == b, a < 0), p[0]]
    function = ca.Function("f", [x, u, p], [ca.vertcat(*values)])
    (code,) = compile_functions([function])
    for numbers in ([0.7, 0.4, 1.0], [2.5, 0.9, -1.0]):
        inputs = np.array(numbers), np.array([1.3, 0.2]), np.array([5.0])
        wanted = np.array(function(*inputs))
        np.testing.assert_allclose(code(*inputs)[0], wanted, rtol=1e-14)


def test_outputs_are_dense_row_by_row():
    x, u, p = (ca.SX.sym(name, 2) for name in "xup")
    sparse = ca.SX(2, 3)
    sparse[0, 2], sparse[1, 0] = x[0], u[1]
    (code,) = compile_functions([ca.Function("f", [x, u, p], [p, sparse])])
    assert code.offsets == (0, 2, 8)
    first, second = code(np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 6.0]))
    assert first.tolist() == [[5.0], [6.0]]
    assert second.tolist() == [[0.0, 0.0, 1.0], [4.0, 0.0, 0.0]]


def test_bad_functions_and_inputs_are_refused():
    x, u, p = (ca.SX.sym(name, 2) for name in "xup")
    with pytest.raises(ValueError, match="has no translation"):
        compile_functions([ca.Function("f", [x, u, p], [ca.erf(x)])])
    y = ca.MX.sym("y", 2)
    with pytest.raises(ValueError, match="expand"):
        compile_functions([ca.Function("f", [y], [ca.sin(y)])])
    (code,) = compile_functions([ca.Function("f", [x, u, p], [x + u])])
    with pytest.raises(ValueError, match="3 inputs"):
        code(np.zeros(2))
    with pytest.raises(ValueError, match=r"lengths \(2, 2, 2\)"):
        code(np.zeros(2), np.zeros(3), np.zeros(2))
