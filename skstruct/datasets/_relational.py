# SPDX-License-Identifier: BSD-3-Clause

import os
from numbers import Integral, Real

import numpy as np
from scipy.io import loadmat
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ._fetch import fetch_file

_SOURCE = (
    "https://raw.githubusercontent.com/lanl/pyDRESCALk/"
    "adc433add5543a6552226b36d2ffde293dce4171/data/"
)
_SHA256 = {
    "trade_data_tensor.mat": (
        "181106bb3327771b3017e5a34fc43029489cd504f65d130d981914d92043334a"
    ),
    "dnations.mat": "c8317e39bdf831957a3b3748c8b9135ea44f4d5afad2f735e0d61bef9fd7f5ab",
    "alyawarradata.mat": (
        "0e3b39e139291e4efd5e62faa55896ca96c70cd0c925da0d0a3b92d330883cb0"
    ),
    "uml.mat": "451db269162875d0f6ca00e0ffddee2e26f4781770cd98fdfcea5210756bb5f6",
}

_FETCH = {
    "data_home": [str, os.PathLike, None],
    "download_if_missing": ["boolean"],
}


@validate_params(
    {
        "n_entities": [Interval(Integral, 1, None, closed="left")],
        "n_relations": [Interval(Integral, 1, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "design": [StrOptions({"gaussian", "dense"})],
        "noise": [StrOptions({"none", "multiplicative", "poisson"})],
        "noise_level": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_relational_communities(
    n_entities=40,
    n_relations=8,
    *,
    n_components=4,
    design="gaussian",
    noise="none",
    noise_level=0.1,
    random_state=None,
):
    """Simulate relations among the members of communities.

    Parameters
    ----------
    n_entities, n_relations : int, default=40 and 8
        Size of each slice and number of slices.
    n_components : int, default=4
        Number of communities.
    design : {"gaussian", "dense"}, default="gaussian"
        "gaussian": membership is a bump around the centre of each community, so that
        most entities belong to one; the communities are identifiable, and relations
        are uniform. "dense": uniform memberships of everyone in everything, which
        have the same rank but are not identifiable, and exponential relations.
    noise : {"none", "multiplicative", "poisson"}, default="none"
        "multiplicative": factors of mean 1 and standard deviation `noise_level`, cut
        at zero. "poisson": counts, whose mean over all cells is ``1 / noise_level``.
    noise_level : float, default=0.1
        Strength of the noise; of no effect with ``noise="none"``.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    data : Bunch
        ``X`` of shape (n_relations, n_entities, n_entities), ``truth`` without
        noise, ``components`` and ``relations``.

    References
    ----------
    The Gaussian design is the generator of the experiments in Bhattarai et al.
    (2023), Distributed non-negative RESCAL with automatic model selection for
    exascale data, Journal of Parallel and Distributed Computing 179.

    Examples
    --------
    >>> from skstruct.datasets import make_relational_communities
    >>> data = make_relational_communities(random_state=0)
    >>> data.X.shape, data.components.shape
    ((8, 40, 40), (40, 4))
    """
    rng = check_random_state(random_state)
    n, k = n_entities, n_components
    if design == "gaussian":
        centres = (np.arange(k) + 0.5) * n / k - 0.5
        distance = np.arange(n)[:, None] - centres
        A = np.exp(-k * distance**2 / (0.01 * n**2))
    else:
        A = rng.uniform(size=(n, k))
    shape = (n_relations, k, k)
    R = rng.uniform(size=shape) if design == "gaussian" else rng.exponential(size=shape)
    truth = A @ R @ A.T
    X = truth.copy()
    if noise == "multiplicative":
        X *= np.maximum(1.0 + noise_level * rng.standard_normal(X.shape), 0.0)
    elif noise == "poisson":
        if noise_level == 0:
            raise ValueError("noise_level=0 needs noise='none'.")
        rate = 1.0 / (noise_level * truth.mean())
        truth, R = truth * rate, R * rate
        X = rng.poisson(truth).astype(np.float64)
    return Bunch(X=X, truth=truth, components=A, relations=R)


# (father, mother, children), then couples without children in the trees.
_FAMILIES = {
    "English": (
        [
            ("Christopher", "Penelope", ("Arthur", "Victoria")),
            ("Andrew", "Christine", ("James", "Jennifer")),
            ("James", "Victoria", ("Colin", "Charlotte")),
        ],
        [("Arthur", "Margaret"), ("Charles", "Jennifer")],
    ),
    "Italian": (
        [
            ("Roberto", "Maria", ("Emilio", "Lucia")),
            ("Pierro", "Francesca", ("Marco", "Angela")),
            ("Marco", "Lucia", ("Alfonso", "Sophia")),
        ],
        [("Emilio", "Gina"), ("Tomaso", "Angela")],
    ),
}
_WOMEN = {
    "Penelope", "Christine", "Victoria", "Jennifer", "Margaret", "Charlotte",
    "Maria", "Francesca", "Lucia", "Angela", "Gina", "Sophia",
}  # fmt: skip
_KIN = (
    "father", "mother", "husband", "wife", "son", "daughter",
    "uncle", "aunt", "brother", "sister", "nephew", "niece",
)  # fmt: skip


def load_family_trees():
    """Load the two family trees of Hinton: 24 people, 12 kinds of kin.

    Returns
    -------
    data : Bunch
        ``X`` of shape (12, 24, 24), 1 where person j is the `relation` of person i
        ("the father of i is j"), with 112 ones; ``people`` (24,), ``relations``
        (12,), and ``family`` (24,), "English" or "Italian". The trees have the same
        shape.

    Notes
    -----
    The trees are facts of the publication; the 112 statements follow from who is
    married to whom and who is whose child. Uncles and aunts by marriage count.

    References
    ----------
    Hinton (1986), Learning distributed representations of concepts, Proceedings of
    the Eighth Annual Conference of the Cognitive Science Society.

    Examples
    --------
    >>> from skstruct.datasets import load_family_trees
    >>> trees = load_family_trees()
    >>> trees.X.shape, int(trees.X.sum())
    ((12, 24, 24), 112)
    """
    people, family = [], []
    facts = {kin: set() for kin in _KIN}
    for name, (parents, others) in _FAMILIES.items():
        couples = [(father, mother) for father, mother, _ in parents] + others
        spouse = {}
        for man, woman in couples:
            spouse[man], spouse[woman] = woman, man
            facts["wife"].add((man, woman))
            facts["husband"].add((woman, man))
        members = set(spouse)
        for father, mother, children in parents:
            members.update(children)
            for child in children:
                facts["father"].add((child, father))
                facts["mother"].add((child, mother))
                kind = "daughter" if child in _WOMEN else "son"
                facts[kind] |= {(father, child), (mother, child)}
                for other in children:
                    if other != child:
                        kind = "sister" if other in _WOMEN else "brother"
                        facts[kind].add((child, other))
        siblings = [pair for pair in facts["brother"] | facts["sister"]]
        for parent, sibling in siblings:
            for child in _children(parents, parent):
                for elder in filter(None, (sibling, spouse.get(sibling))):
                    kind = "aunt" if elder in _WOMEN else "uncle"
                    facts[kind].add((child, elder))
                    kind = "niece" if child in _WOMEN else "nephew"
                    facts[kind].add((elder, child))
        people += sorted(members)
        family += [name] * len(members)
    number = {person: i for i, person in enumerate(people)}
    X = np.zeros((len(_KIN), len(people), len(people)))
    for t, kin in enumerate(_KIN):
        for one, other in facts[kin]:
            X[t, number[one], number[other]] = 1.0
    return Bunch(
        X=X,
        people=np.array(people),
        relations=np.array(_KIN),
        family=np.array(family),
    )


def _children(parents, person):
    for father, mother, children in parents:
        if person in (father, mother):
            yield from children


def _load(name, data_home, download_if_missing):
    path = fetch_file(
        name,
        _SOURCE + name,
        _SHA256[name],
        data_home=data_home,
        download_if_missing=download_if_missing,
    )
    return loadmat(path)


def _names(cells):
    return np.array([str(np.ravel(cell)[0]).strip() for cell in np.ravel(cells)])


@validate_params(_FETCH, prefer_skip_nested_validation=True)
def fetch_trade_flows(*, data_home=None, download_if_missing=True):
    """Fetch monthly merchandise exports between 23 countries, 1981 to 2015.

    Parameters
    ----------
    data_home : str or path, default=None
        Cache folder; None: the environment variable ``SKSTRUCT_DATA``, else
        ``~/skstruct_data``.
    download_if_missing : bool, default=True
        Whether the file may be downloaded.

    Returns
    -------
    data : Bunch
        ``X`` of shape (420, 23, 23): million US dollars, from the country of the row
        to that of the column, NaN where nothing was reported; ``countries`` (23,) and
        ``months`` (420,) such as "1981-01".

    Notes
    -----
    The file has no dates: the first month is inferred from the number of months, the
    crisis of 2008-09 and the levels of 2015. Only one country has numbers on its
    diagonal; ``NonnegativeRESCAL(missing_diagonal=True)`` sets them aside.

    References
    ----------
    International Monetary Fund, Direction of Trade Statistics, as assembled for
    Truong, Skau, Valtchinov, Alexandrov (2020), Determination of latent
    dimensionality in international trade flow, Machine Learning: Science and
    Technology 1.

    Examples
    --------
    >>> from skstruct.datasets import fetch_trade_flows
    >>> trade = fetch_trade_flows()  # doctest: +SKIP
    >>> trade.X.shape  # doctest: +SKIP
    (420, 23, 23)
    """
    found = _load("trade_data_tensor.mat", data_home, download_if_missing)
    months = [f"{1981 + t // 12}-{t % 12 + 1:02d}" for t in range(420)]
    return Bunch(
        X=_slices_first(found["X"]),
        countries=_names(found["L1"]),
        months=np.array(months),
    )


@validate_params(_FETCH, prefer_skip_nested_validation=True)
def fetch_nations(*, data_home=None, download_if_missing=True):
    """Fetch 56 relations among 14 nations of the years 1950 to 1965.

    Parameters
    ----------
    data_home : str or path, default=None
        Cache folder; None: the environment variable ``SKSTRUCT_DATA``, else
        ``~/skstruct_data``.
    download_if_missing : bool, default=True
        Whether the file may be downloaded.

    Returns
    -------
    data : Bunch
        ``X`` of shape (56, 14, 14), 0 or 1, NaN where unknown, as on all diagonals;
        ``relations`` (56,), ``countries`` (14,), and ``attributes`` (14, 111) with
        ``attribute_names``.

    References
    ----------
    Rummel, Dimensionality of Nations, as made binary by Kemp, Tenenbaum, Griffiths,
    Yamada, Ueda (2006), Learning systems of concepts with an infinite relational
    model, AAAI.

    Examples
    --------
    >>> from skstruct.datasets import fetch_nations
    >>> nations = fetch_nations()  # doctest: +SKIP
    >>> nations.X.shape  # doctest: +SKIP
    (56, 14, 14)
    """
    found = _load("dnations.mat", data_home, download_if_missing)
    return Bunch(
        X=_slices_first(found["R"]),
        relations=_names(found["relnnames"]),
        countries=_names(found["countrynames"]),
        attributes=np.asarray(found["A"], dtype=np.float64),
        attribute_names=_names(found["attnames"]),
    )


@validate_params(_FETCH, prefer_skip_nested_validation=True)
def fetch_kinship(*, data_home=None, download_if_missing=True):
    """Fetch the kinship terms that 104 people of the Alyawarra use for each other.

    Parameters
    ----------
    data_home : str or path, default=None
        Cache folder; None: the environment variable ``SKSTRUCT_DATA``, else
        ``~/skstruct_data``.
    download_if_missing : bool, default=True
        Whether the file may be downloaded.

    Returns
    -------
    data : Bunch
        ``X`` of shape (26, 104, 104), 0 or 1, at most one term per ordered pair;
        ``features`` (104, 14) and ``classes`` (104,).

    References
    ----------
    Denham, as prepared by Kemp, Tenenbaum, Griffiths, Yamada, Ueda (2006), Learning
    systems of concepts with an infinite relational model, AAAI.

    Examples
    --------
    >>> from skstruct.datasets import fetch_kinship
    >>> kinship = fetch_kinship()  # doctest: +SKIP
    >>> kinship.X.shape  # doctest: +SKIP
    (26, 104, 104)
    """
    found = _load("alyawarradata.mat", data_home, download_if_missing)
    return Bunch(
        X=_slices_first(found["Rs"]),
        features=np.asarray(found["features"]),
        classes=np.ravel(found["atts"]),
    )


@validate_params(_FETCH, prefer_skip_nested_validation=True)
def fetch_umls(*, data_home=None, download_if_missing=True):
    """Fetch 49 relations among 135 biomedical concepts.

    Parameters
    ----------
    data_home : str or path, default=None
        Cache folder; None: the environment variable ``SKSTRUCT_DATA``, else
        ``~/skstruct_data``.
    download_if_missing : bool, default=True
        Whether the file may be downloaded.

    Returns
    -------
    data : Bunch
        ``X`` of shape (49, 135, 135), 0 or 1; ``relations`` (49,), ``concepts``
        (135,) and their ``groups`` (135,).

    References
    ----------
    McCray, the UMLS semantic network, as prepared by Kemp, Tenenbaum, Griffiths,
    Yamada, Ueda (2006), Learning systems of concepts with an infinite relational
    model, AAAI.

    Examples
    --------
    >>> from skstruct.datasets import fetch_umls
    >>> umls = fetch_umls()  # doctest: +SKIP
    >>> umls.X.shape  # doctest: +SKIP
    (49, 135, 135)
    """
    found = _load("uml.mat", data_home, download_if_missing)
    return Bunch(
        X=_slices_first(found["Rs"]),
        relations=_names(found["relnames"]),
        concepts=_names(found["names"]),
        groups=_names(found["gnames"]),
    )


def _slices_first(X):
    return np.ascontiguousarray(np.moveaxis(X, 2, 0), dtype=np.float64)
