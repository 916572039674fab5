"""Causal discovery with latent confounders from higher-order cumulants."""

# SPDX-License-Identifier: BSD-3-Clause

__all__: list[str] = []
