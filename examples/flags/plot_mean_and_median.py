"""
Averaging subspaces when some of them are wrong
===============================================

A hundred noisy measurements of a line inside a 3-dimensional subspace of R^10. How far
from the truth is their mean, how far their median, and what does one wrong measurement
in five do to each?
"""

# %%
# :func:`~skstruct.datasets.make_noisy_flags` draws flags around a centre. On the left
# the noise grows; on the right it is small, and a share of the flags is replaced by
# flags far away. Averaging the loadings entry by entry, after the signs are made to
# agree with the first sample, is what is often done instead.

import matplotlib.pyplot as plt
import numpy as np

from skstruct.datasets import make_noisy_flags
from skstruct.subspace import FlagMean, FlagMedian, flag_distance

flag_type = (1, 3)


def loadings_mean(frames):
    # Principal components come with arbitrary signs.
    signs = np.sign(np.einsum("jpk,pk->jk", frames, frames[0]))
    return np.linalg.qr(np.mean(frames * signs[:, None, :], axis=0))[0]


def errors(data, rng):
    # The same flags as three programs might report them: any basis of each block.
    frames = data.X.copy()
    for frame in frames:
        frame[:, 1:3] = frame[:, 1:3] @ np.linalg.qr(rng.standard_normal((2, 2)))[0]
    estimates = [
        FlagMean(flag_type).fit(frames).frame_,
        FlagMedian(flag_type).fit(frames).frame_,
        loadings_mean(frames),
    ]
    return [flag_distance(U, data.center, flag_type) for U in estimates]


rng = np.random.default_rng(0)
noises = np.arange(0.02, 0.83, 0.1)
shares = np.arange(0, 0.21, 0.02)
by_noise = [errors(make_noisy_flags(noise=s, random_state=1), rng) for s in noises]
by_share = [
    errors(
        make_noisy_flags(noise=0.001, n_outliers=round(100 * q), random_state=2), rng
    )
    for q in shares
]

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
names = ["FlagMean", "FlagMedian", "mean of loadings"]
for ax, x, curves in [(axes[0], noises, by_noise), (axes[1], 100 * shares, by_share)]:
    for name, curve, style in zip(names, np.transpose(curves), ["o-", "s-", "^--"]):
        ax.plot(x, curve, style, label=name)
    ax.set_yscale("log")
axes[0].set(xlabel="noise", ylabel="distance to the true flag")
axes[1].set_xlabel("outliers (%)")
axes[1].legend(frameon=False)
plt.show()

# %%
# Without outliers mean and median are equally near the truth, and with 20 % outliers
# the median has hardly moved, where the mean is hundreds of times farther away. The
# mean of the loadings averages arbitrary rotations and is behind both everywhere.
