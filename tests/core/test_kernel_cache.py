from simrl.core.kernel_cache import drop_stale


def package(tmp_path):
    (tmp_path / "rules" / "__pycache__").mkdir(parents=True)
    (tmp_path / "kernel.py").write_text("a = 1\n")
    (tmp_path / "rules" / "helper.py").write_text("b = 1\n")
    cached = tmp_path / "rules" / "__pycache__" / "helper.nbi"
    cached.write_text("compiled")
    return cached


def test_kernels_stay_while_the_sources_do(tmp_path):
    cached = package(tmp_path)
    assert drop_stale(tmp_path)  # no stamp yet: nobody knows what was compiled
    cached.write_text("compiled")
    assert not drop_stale(tmp_path)
    assert cached.exists()


def test_an_edit_of_a_called_function_drops_the_callers_kernel(tmp_path):
    cached = package(tmp_path)
    drop_stale(tmp_path)
    cached.write_text("compiled")
    (tmp_path / "kernel.py").write_text("a = 2\n")
    assert drop_stale(tmp_path)
    assert not cached.exists()


def test_an_edit_of_a_called_folder_drops_the_callers_kernel(tmp_path):
    caller, called = tmp_path / "caller", tmp_path / "called"
    caller.mkdir(), called.mkdir()
    cached = package(caller)
    (called / "helper.py").write_text("c = 1\n")
    drop_stale(caller, called)
    cached.write_text("compiled")
    assert not drop_stale(caller, called)
    (called / "helper.py").write_text("c = 2\n")
    assert drop_stale(caller, called)
    assert not cached.exists()
