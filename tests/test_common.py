"""The contract that every public estimator keeps; estimators are discovered."""

import importlib
import inspect
import io
import pickle
import warnings

import numpy as np
import pytest
from joblib import dump, load
from numpydoc.validate import validate
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.utils.estimator_checks import check_estimator
from skops import io as sio

import skstruct
from tests.flat import flat, to_three_way
from tests.instances import collect, public_estimators

SPECS = collect()
PUBLIC = public_estimators()

# The flat subclasses are bound here so that they can be pickled by name.
_FLAT = {}
for _cls, _spec in SPECS.items():
    if _spec.adapt is not None:
        _sub = flat(_cls, _spec.adapt, _spec.hidden)
        _sub.__module__ = __name__
        globals()[_sub.__name__] = _FLAT[_cls] = _sub


def _cases():
    for cls, spec in SPECS.items():
        for i, factory in enumerate(spec.factories):
            yield pytest.param(cls, spec, factory, id=f"{cls.__name__}-{i}")


CASES = list(_cases())


def _outputs(estimator, spec, X, y):
    """Every declared output as a list of float arrays."""
    found = []
    for name in spec.outputs:
        result = (
            getattr(estimator, name)(X, y)
            if name == "score"
            else getattr(estimator, name)(X)
        )
        for part in result if isinstance(result, tuple) else (result,):
            part = part.toarray() if sparse.issparse(part) else part
            found.append(np.asarray(part))
    return found


def _fit(estimator, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X) if y is None else estimator.fit(X, y)


def test_every_public_estimator_has_an_instance():
    missing = [name for cls, name in PUBLIC.items() if cls not in SPECS]
    assert not missing, f"no entry in a tests/*/instances*.py for {missing}"
    strangers = [cls.__name__ for cls in SPECS if cls not in PUBLIC]
    assert not strangers, f"instances without a public class: {strangers}"


@pytest.mark.parametrize(("cls", "spec", "factory"), CASES)
def test_scikit_learn_checks(cls, spec, factory):
    estimator = factory()
    if cls in _FLAT:
        estimator = _FLAT[cls](**estimator.get_params(deep=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(
            estimator,
            expected_failed_checks=spec.expected_failed_checks,
            on_fail=None,
            on_skip=None,
        )
    failed = {
        r["check_name"]: repr(r["exception"])
        for r in results
        if r["status"] == "failed"
    }
    assert not failed, failed
    ran = sum(r["status"] == "passed" for r in results)
    assert ran >= spec.min_checks, f"only {ran} checks really ran"
    xfailed = {r["check_name"] for r in results if r["status"] == "xfail"}
    stale = set(spec.expected_failed_checks) - xfailed
    assert not stale, f"expected to fail but passed or never ran: {stale}"


def _variants(X, y, kind, tmp_path):
    """(X, y) in the given kind, and the float64 C-order pair with the same values."""
    if kind in {"int", "bool"}:
        scaled = [None if A is None else 8 * A / np.abs(A).max() for A in (X, y)]
        if kind == "bool":
            scaled = [None if A is None else np.median(A) < A for A in (X, y)]
        X, y = (
            None
            if A is None
            else np.rint(A).astype(np.int64 if kind == "int" else bool)
            for A in scaled
        )
        return (X, y), tuple(None if A is None else A.astype(float) for A in (X, y))

    def convert(A, name):
        if A is None:
            return None
        if kind == "F":
            return np.asfortranarray(A)
        if kind == "strided":
            wide = np.repeat(A, 2, axis=1)
            return wide[:, ::2]
        if kind == "readonly":
            B = A.copy()
            B.flags.writeable = False
            return B
        if kind == "memmap":
            path = tmp_path / f"{name}.joblib"
            dump(A, path)
            return load(path, mmap_mode="r")
        if kind == "float32":
            return A.astype(np.float32)
        if kind == "sparse":
            return sparse.csr_array(A)
        raise AssertionError(kind)

    if kind == "float32":
        base = tuple(
            None if A is None else A.astype(np.float32).astype(np.float64)
            for A in (X, y)
        )
        return (convert(base[0], "X"), convert(base[1], "y")), base
    return (convert(X, "X"), convert(y, "y") if y is not None and y.ndim > 1 else y), (
        X,
        y,
    )


@pytest.mark.parametrize(
    ("cls", "spec", "factory", "kind"),
    [
        pytest.param(*case.values, kind, id=f"{case.id}-{kind}")
        for case in CASES
        for kind in case.values[1].kinds
    ],
)
def test_input_kinds_agree(cls, spec, factory, kind, tmp_path):
    (X, y), (X0, y0) = _variants(*spec.data(0), kind, tmp_path)
    want = _outputs(_fit(factory(), X0, y0), spec, X0, y0)
    got = _outputs(_fit(factory(), X, y), spec, X, y)
    tol = 2e-3 if kind == "float32" else 1e-8
    assert len(got) == len(want) > 0
    for a, b in zip(got, want):
        assert a.shape == b.shape
        if kind == "float32" and not np.issubdtype(b.dtype, np.floating):
            # labels: one sample at a boundary may fall on the other side
            assert np.mean(a == b) >= 0.95
            continue
        scale = max(1.0, np.abs(np.nan_to_num(b.astype(float))).max())
        np.testing.assert_allclose(a, b, rtol=0, atol=tol * scale)


@pytest.mark.parametrize(("cls", "spec", "factory"), CASES)
def test_data_is_not_modified_and_result_is_finite(cls, spec, factory):
    X, y = spec.data(1)
    X_before, y_before = X.copy(), None if y is None else y.copy()
    out = _outputs(_fit(factory(), X, y), spec, X, y)
    np.testing.assert_array_equal(X, X_before)
    if y is not None:
        np.testing.assert_array_equal(y, y_before)
    assert all(np.isfinite(a.astype(float)).all() for a in out)


@pytest.mark.parametrize(("cls", "spec", "factory"), CASES)
def test_same_seed_same_bits_for_every_n_jobs(cls, spec, factory):
    X, y = spec.data(2)
    estimator = factory()
    first = _outputs(_fit(clone(estimator), X, y), spec, X, y)
    if "n_jobs" in estimator.get_params():
        estimator.set_params(n_jobs=2)
    second = _outputs(_fit(clone(estimator), X, y), spec, X, y)
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("cls", "spec", "factory"), CASES)
def test_round_trips(cls, spec, factory):
    X, y = spec.data(3)
    fitted = _fit(factory(), X, y)
    want = _outputs(fitted, spec, X, y)

    buffer = io.BytesIO()
    pickle.dump(fitted, buffer)
    buffer.seek(0)
    dumped = sio.dumps(fitted)
    untrusted = sio.get_untrusted_types(data=dumped)
    # A selector holds the estimator that it chose.
    own = {f"{c.__module__}.{c.__name__}" for c in PUBLIC}
    ours = {name for name in untrusted if name.startswith("skstruct.")}
    assert ours <= own, f"skops would have to trust {ours - own}"
    for copy in (pickle.load(buffer), sio.loads(dumped, trusted=untrusted)):
        for a, b in zip(_outputs(copy, spec, X, y), want):
            np.testing.assert_array_equal(a, b)


def _designs():
    for cls, spec in SPECS.items():
        for design in spec.rank_designs:
            yield pytest.param(design, id=f"{cls.__name__}-{design.name}")


@pytest.mark.parametrize("design", list(_designs()))
def test_grid_search_finds_the_planted_rank(design):
    right = 0
    found = []
    for seed in range(design.n_seeds):
        X, y, fit_params = design.make(seed)
        cv = (
            KFold(design.cv, shuffle=True, random_state=seed)
            if isinstance(design.cv, int)
            else design.cv
        )
        search = GridSearchCV(
            design.estimator(), design.grid, cv=cv, refit=design.refit
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search.fit(X, y, **fit_params)
        best = {name: search.best_params_[name] for name in design.truth}
        found.append(best)
        right += best == design.truth
    assert right >= design.n_right, found


def test_every_class_is_rank_tested_or_says_why_not():
    silent = [
        c.__name__ for c, s in SPECS.items() if not s.rank_designs and not s.no_rank
    ]
    assert not silent


# Sections that numpydoc would like but that add nothing to every docstring.
_NOT_ASKED = {
    "GL01",
    "GL02",
    "GL03",
    "GL08",
    "SS05",
    "SS06",
    "ES01",
    "SA01",
    "SA04",
    "EX01",
    "YD01",
    "RT02",
    "RT03",
    "RT05",
    "PR06",
    "PR08",
    "PR09",
    "PR05",
}


def _public_objects():
    for sub in skstruct._SUBMODULES:
        module = importlib.import_module(f"skstruct.{sub}")
        for name in module.__all__:
            yield f"skstruct.{sub}.{name}"


def _documented():
    for path in _public_objects():
        yield path
        item = _resolve(path)
        if inspect.isclass(item):
            for name, member in vars(item).items():
                if not name.startswith("_") and inspect.isfunction(member):
                    yield f"{path}.{name}"


def _resolve(path):
    parts = path.split(".")
    item = importlib.import_module(".".join(parts[:2]))
    for part in parts[2:]:
        item = getattr(item, part)
    return item


@pytest.mark.parametrize("path", list(_documented()))
def test_docstrings_are_complete(path):
    if not inspect.getdoc(_resolve(path)):
        pytest.fail(f"{path} has no docstring")
    report = validate(path)
    errors = [(c, m) for c, m in report["errors"] if c not in _NOT_ASKED]
    assert not errors, errors
    item = _resolve(path)
    if path.count(".") == 2 and (inspect.isclass(item) or inspect.isfunction(item)):
        assert "Examples\n" in inspect.getdoc(item), f"{path} has no example"


def test_every_public_name_is_in_the_api_page():
    from pathlib import Path

    page = (Path(__file__).parents[1] / "doc" / "api.rst").read_text()
    listed = {line.strip() for line in page.splitlines()}
    missing = [
        p for p in _public_objects() if p.removeprefix("skstruct.") not in listed
    ]
    assert not missing


def test_adapters_reach_three_way_arrays():
    assert to_three_way(np.ones((4, 3))).shape == (4, 3, 1)
