"""
Do two networks learn the same thing?
=====================================

Two networks that start from different random weights end with different weights, even
if they make the same predictions. Do their layers compute the same thing, up to a
linear change of the neurons? And does that say something about what has been learnt?
"""

# %%
# Pairs of networks with three hidden layers learn handwritten digits: one pair with the
# true labels, one pair with labels that were shuffled, which can only be learnt by
# heart. :func:`~skstruct.metrics.svcca` compares layers on images that no network was
# trained on.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from skstruct.metrics import svcca, svcca_matrix

digits = load_digits()
X, X_new, labels, labels_new = train_test_split(
    digits.data / 16, digits.target, test_size=0.5, random_state=0
)
shuffled = np.random.default_rng(0).permutation(labels)
names = ["hidden 1", "hidden 2", "hidden 3", "output"]
epochs = [0, 2, 4, 8, 16, 32, 64, 128]


def activations(network, X):
    """Values of all neurons, layer by layer."""
    layers = []
    for W, b in zip(network.coefs_, network.intercepts_):
        X = X @ W + b
        if len(layers) + 1 < len(network.coefs_):
            X = np.maximum(X, 0)
        layers.append(X)
    return layers


def snapshots(seed, labels):
    """Activations on new inputs after some epochs, and the final accuracies."""
    options = {"hidden_layer_sizes": (64, 64, 64), "random_state": seed}
    start = MLPClassifier(learning_rate_init=1e-12, **options)
    layers = [
        activations(start.partial_fit(X, labels, classes=digits.target_names), X_new)
    ]
    network = MLPClassifier(learning_rate_init=2e-3, **options)
    for epoch in range(1, epochs[-1] + 1):
        network.partial_fit(X, labels, classes=digits.target_names)
        if epoch in epochs:
            layers.append(activations(network, X_new))
    print(
        f"accuracy on the training set {network.score(X, labels):.2f}, "
        f"on new digits {network.score(X_new, labels_new):.2f}"
    )
    return layers


pairs = {
    kind: [snapshots(seed, y) for seed in (0, 1)]
    for kind, y in [("true labels", labels), ("shuffled labels", shuffled)]
}

# %%
# The matrices compare each layer of the trained first network with each of the second;
# the curves follow equal layers through training. The grey band is what layers without
# any relation would show.

fig, axes = plt.subplots(
    1, 3, figsize=(13, 4), layout="constrained", width_ratios=[1, 1, 1.3]
)
for ax, (kind, (first, second)), style in zip(axes, pairs.items(), ["o-", "s--"]):
    S = svcca_matrix(first[-1], second[-1])
    image = ax.imshow(S, vmin=0, vmax=1, cmap="viridis")
    for (i, j), value in np.ndenumerate(S):
        ax.text(j, i, f"{value:.2f}", ha="center", va="center",
                color="k" if value > 0.6 else "w")  # fmt: skip
    ax.set(xticks=range(4), yticks=range(4), yticklabels=names if ax is axes[0] else [])
    ax.set_xticklabels(names, rotation=30)
    ax.set(title=f"After 128 epochs, {kind}", xlabel="second network")
    for layer in range(4):
        found = [svcca(a[layer], b[layer]) for a, b in zip(first, second)]
        axes[2].plot(
            range(len(epochs)), [f.similarity for f in found], style, color=f"C{layer}",
            label=names[layer] if kind == "true labels" else None,
        )  # fmt: skip
noise = [
    svcca(a, b).noise_level
    for first, second in pairs.values()
    for a, b in zip(first[-1], second[-1])
]
axes[0].set_ylabel("first network")
axes[2].axhspan(min(noise), max(noise), color="0.85")
axes[2].text(0, np.mean(noise), "unrelated layers", va="center", color="0.3")
axes[2].set(
    xticks=range(len(epochs)), xticklabels=epochs, ylim=(0, 1), xlabel="epochs",
    ylabel="similarity", title="Equal layers (dashed: shuffled labels)",
)  # fmt: skip
axes[2].legend(frameon=False, loc="lower right", ncols=2, bbox_to_anchor=(1, 0.2))
plt.show()

# %%
# The two networks that learn digits start with layers that resemble each other the less
# the deeper they are, since all that they share is the input. Training turns this
# around: the deep layers come together most, down to a few directions that both
# networks have found. Networks that learn shuffled labels by heart reach nearly the
# same training accuracy, but each in a way of its own: their layers end hardly closer
# than at the start.
