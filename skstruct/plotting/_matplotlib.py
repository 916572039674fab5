"""The one place where matplotlib is imported."""

# SPDX-License-Identifier: BSD-3-Clause


def get_axes(ax=None, **subplots_kw):
    """Return `ax`, or the axes of a new figure.

    Raises
    ------
    ImportError
        Without matplotlib; names the extra to install.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Displays need matplotlib: pip install 'skstruct[plot]'."
        ) from error
    return plt.subplots(**subplots_kw)[1] if ax is None else ax
