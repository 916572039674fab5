# SPDX-License-Identifier: BSD-3-Clause

import csv
from importlib.resources import files

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils._param_validation import validate_params


@validate_params({"as_frame": ["boolean"]}, prefer_skip_nested_validation=True)
def load_nutrimouse(*, as_frame=False):
    """Gene expression and fatty acids in the livers of 40 mice.

    Mice of two genotypes, wild type and without the receptor PPAR alpha, were fed five
    diets with different fats. Two views of each liver: the expression of 120 genes
    chosen for a role in nutrition, and the shares of 21 fatty acids.

    Parameters
    ----------
    as_frame : bool, default=False
        Whether ``gene`` and ``lipid`` are pandas DataFrames.

    Returns
    -------
    data : Bunch
        ``gene`` of shape (40, 120), log expression; ``lipid`` of shape (40, 21),
        percentages; ``gene_names``, ``lipid_names``, lists of str; ``diet`` and
        ``genotype``, arrays of str of shape (40,): "coc" (hydrogenated coconut oil,
        saturated), "fish", "lin" (linseed oil), "ref" (maize and rapeseed oil),
        "sun" (sunflower oil), and "ppar" (without the receptor) or "wt".

    References
    ----------
    Martin, Guillou, Lasserre, Déjean, Lan, Pascussi, SanCristobal, Legrand, Besse,
    Pineau (2007), Novel aspects of PPARalpha-mediated regulation of lipid and
    xenobiotic metabolism revealed through a nutrigenomic study, Hepatology 45.

    Examples
    --------
    >>> from skstruct.datasets import load_nutrimouse
    >>> mice = load_nutrimouse()
    >>> mice.gene.shape, mice.lipid.shape, mice.gene_names[0]
    ((40, 120), (40, 21), 'X36b4')
    """
    path = files("skstruct.datasets") / "data" / "nutrimouse.csv"
    with path.open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    names = [name.split(":")[1] for name in head[2:]]
    n_genes = sum(name.startswith("gene:") for name in head)
    values = np.array([[float(cell) for cell in row[2:]] for row in rows])
    gene, lipid = values[:, :n_genes].copy(), values[:, n_genes:].copy()
    if as_frame:
        import pandas as pd

        gene = pd.DataFrame(gene, columns=names[:n_genes])
        lipid = pd.DataFrame(lipid, columns=names[n_genes:])
    return Bunch(
        gene=gene,
        lipid=lipid,
        gene_names=names[:n_genes],
        lipid_names=names[n_genes:],
        diet=np.array([row[0] for row in rows]),
        genotype=np.array([row[1] for row in rows]),
    )
