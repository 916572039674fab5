"""
What a flag is, and which distance sees what
============================================

A flag is a chain of nested subspaces, here a line inside a plane. Two flags can differ
in the line, in the plane, or in both. Which distance notices which difference?
"""

# %%
# One flag is fixed. The other starts equal to it; then either its line turns inside the
# plane, or its plane turns around the line.

import matplotlib.pyplot as plt
import numpy as np
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from skstruct.subspace import flag_distance

angles = np.linspace(0, np.pi / 2, 61)
c, s = np.cos(angles), np.sin(angles)
zero, one = np.zeros_like(c), np.ones_like(c)
line_turns = np.stack([np.stack([c, s, zero], 1), np.stack([-s, c, zero], 1)], axis=2)
plane_turns = np.stack(
    [np.stack([one, zero, zero], 1), np.stack([zero, c, s], 1)], axis=2
)
fixed = np.eye(3)[:, :2]
metrics = ["block", "nested", "projection", "containment", "multilevel"]

fig = plt.figure(figsize=(11, 6.2), layout="constrained")
grid = fig.add_gridspec(2, 2, width_ratios=[1, 1.6])
cases = [
    ("the line turns inside the plane", line_turns),
    ("the plane turns around the line", plane_turns),
]
for row, (title, flags) in enumerate(cases):
    ax = fig.add_subplot(grid[row, 0], projection="3d")
    for frame, color in [(fixed, "0.4"), (flags[20], "C1")]:
        corners = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) @ frame.T
        ax.add_collection3d(Poly3DCollection([corners], color=color, alpha=0.25))
        ax.plot(*np.outer(frame[:, 0], [-1.3, 1.3]), color=color, lw=3)
    ax.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1), title=title)
    ax.set_axis_off()
    ax.view_init(28, -55)

    ax = fig.add_subplot(grid[row, 1])
    styles = ["-", "-", "-", "--", ":"]
    for metric, style in zip(metrics, styles):
        d = flag_distance(fixed[None], flags, (1, 2), metric=metric)[0]
        ax.plot(np.degrees(angles), d, style, lw=2, label=metric)
    ax.set_ylabel("distance")
    if row == 0:
        ax.legend(frameon=False, title="metric")
ax.set_xlabel("angle (degrees)")
plt.show()

# %%
# "projection" and "containment" see only the plane: the turning line leaves them at
# zero. "block" counts a turn of the line inside the plane twice, since the second
# direction turns with it, where "nested" and "multilevel" count it once. When the plane
# turns, "block", "nested" and "projection" agree.
