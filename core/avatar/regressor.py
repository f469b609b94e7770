"""Identity latent and driving vector -> blend coefficients.

The network is AGORA-M's: two hidden layers with LeakyReLU(0.2) on (w, ψ). A pack may declare features that a network would
have to learn the hard way, and linear terms on them that are added to its output:

``pose_matrices``
    R − I of every joint in ψ, row-major, 9 numbers a joint. They join the network's input and get a linear term; together
    with a linear term on ψ they give the motion of linear blend skinning exactly, for one identity.
``pose_by_latent``
    products of those matrices with w: joints and rest positions are linear in the shape.
``jaw_by_expression``
    products of the jaw's matrix with the expression: skinning acts on the expressed face.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.errors import PackError
from core.geometry import rotation_from_axis_angle
from core.types import FloatArray, PsiLayout

LEAK = np.float32(0.2)
_JOINT = 9


def joint_count(psi: PsiLayout) -> int:
    """Number of joints whose axis-angle is part of ψ."""
    return psi.jaw // 3 + psi.eyes // 3


def pose_features(psi: FloatArray, layout: PsiLayout) -> FloatArray:
    """R − I of the joints in ψ [..., P] -> [..., 9·joints] float32, jaw first."""
    joints = joint_count(layout)
    axis_angle = psi[..., layout.expression:layout.expression + 3 * joints].reshape(*psi.shape[:-1], joints, 3)
    rotation = rotation_from_axis_angle(axis_angle.astype(np.float64)) - np.eye(3)
    return rotation.reshape(*psi.shape[:-1], joints * _JOINT).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Regressor:
    """Weights of the coefficient regressor; D outputs, W latent numbers, P driving numbers, E expressions, J joints.

    Attributes:
        layout: layout of ψ.
        latent_size: W.
        features: names of the declared features.
        weights, biases: of the network's layers, weights [out, in]. Input: w, ψ, then the pose matrices if declared.
        linear: linear terms by name: ``bias`` [D], ``psi`` [D, P], ``pose`` [D, 9J], ``pose_by_latent`` [D, 9J, <= W]
            (with the leading numbers of w), ``jaw_by_expression`` [D, 9, E]. Those that are absent count as zero.
    """

    layout: PsiLayout
    latent_size: int
    features: tuple[str, ...]
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    linear: dict[str, FloatArray] = field(default_factory=dict)

    @property
    def output_size(self) -> int:
        return len(self.biases[-1])

    def for_identity(self, latent: FloatArray) -> IdentityRegressor:
        """Folds everything that depends on w [W] alone."""
        return IdentityRegressor.fold(self, np.asarray(latent, np.float32))

    def tensors(self) -> dict[str, NDArray]:
        tensors = {f"linear/{name}": value for name, value in self.linear.items()}
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            tensors[f"network/{i}/weight"], tensors[f"network/{i}/bias"] = weight, bias
        return tensors


@dataclass(frozen=True, eq=False)
class IdentityRegressor:
    """The regressor of one person: a function of ψ alone."""

    layout: PsiLayout
    uses_pose: bool
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    bias: FloatArray
    psi_term: FloatArray | None
    pose_term: FloatArray | None
    product_term: FloatArray | None

    @staticmethod
    def fold(source: Regressor, latent: FloatArray) -> IdentityRegressor:
        first, rest = source.weights[0], source.weights[1:]
        biases = (source.biases[0] + first[:, :source.latent_size] @ latent, *source.biases[1:])
        weights = (np.ascontiguousarray(first[:, source.latent_size:]), *rest)
        linear = source.linear
        pose = linear.get("pose")
        if "pose_by_latent" in linear:
            by_latent = linear["pose_by_latent"] @ latent[:linear["pose_by_latent"].shape[2]]
            pose = by_latent if pose is None else pose + by_latent
        product = linear.get("jaw_by_expression")
        return IdentityRegressor(
            source.layout, "pose_matrices" in source.features, weights, biases,
            linear.get("bias", np.zeros(source.output_size, np.float32)), linear.get("psi"), pose,
            None if product is None else np.ascontiguousarray(product.reshape(len(product), -1)))

    def __call__(self, psi: FloatArray) -> FloatArray:
        """Coefficients [..., D] float32 of driving vectors [..., P]."""
        psi = np.asarray(psi, np.float32)
        pose = pose_features(psi, self.layout) if self.uses_pose or self.pose_term is not None else None
        hidden = np.concatenate([psi, pose], -1) if self.uses_pose else psi
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = hidden @ weight.T + bias
            hidden = np.maximum(hidden, LEAK * hidden)
        out = hidden @ self.weights[-1].T + self.biases[-1] + self.bias
        if self.psi_term is not None:
            out += psi @ self.psi_term.T
        if self.pose_term is not None:
            out += pose @ self.pose_term.T
        if self.product_term is not None:
            products = pose[..., :_JOINT, None] * psi[..., None, :self.layout.expression]
            out += products.reshape(*psi.shape[:-1], -1) @ self.product_term.T
        return out


def check_regressor(where: str, tensors: dict[str, NDArray], layout: PsiLayout, latent_size: int,
                    features: tuple[str, ...], output_size: int) -> Regressor:
    """Builds a regressor from untrusted tensors.

    Raises:
        PackError: a tensor is missing, undeclared, not float32, not finite or of the wrong shape.
    """
    joints = joint_count(layout)
    allowed = {"bias": (output_size,), "psi": (output_size, layout.size)}
    if "pose_matrices" in features:
        allowed["pose"] = (output_size, _JOINT * joints)
    if "pose_by_latent" in features:
        allowed["pose_by_latent"] = (output_size, _JOINT * joints, latent_size)
    if "jaw_by_expression" in features:
        if not joints:
            raise PackError(f"{where}: feature 'jaw_by_expression' needs a jaw in the driving vector")
        allowed["jaw_by_expression"] = (output_size, _JOINT, layout.expression)
    linear, network = {}, {}
    for name, value in tensors.items():
        if value.dtype != np.float32 or not np.isfinite(value).all():
            raise PackError(f"{where}/{name}: must be float32 and finite")
        group, _, rest = name.partition("/")
        if rest == "pose_by_latent" and value.ndim == 3 and 0 < value.shape[2] < latent_size:
            value_shape = (*value.shape[:2], latent_size)
        else:
            value_shape = value.shape
        if group == "linear" and rest in allowed and value_shape == allowed[rest]:
            linear[rest] = value
        elif group == "network":
            network[rest] = value
        else:
            raise PackError(f"{where}/{name}: unexpected tensor or shape {value.shape}")
    input_size = latent_size + layout.size + (_JOINT * joints if "pose_matrices" in features else 0)
    weights, biases = _check_layers(where, network, input_size, output_size)
    return Regressor(layout, latent_size, features, weights, biases, linear)


def _check_layers(where: str, network: dict[str, NDArray], input_size: int,
                  output_size: int) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    layers = len(network) // 2
    expected = {f"{i}/{kind}" for i in range(layers) for kind in ("weight", "bias")}
    if not layers or set(network) != expected:
        raise PackError(f"{where}: the network's layers are incomplete")
    weights = tuple(network[f"{i}/weight"] for i in range(layers))
    biases = tuple(network[f"{i}/bias"] for i in range(layers))
    size = input_size
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if weight.ndim != 2 or weight.shape[1] != size or bias.shape != weight.shape[:1]:
            raise PackError(f"{where}/network/{i}: has shape {weight.shape}, expected (*, {size})")
        size = weight.shape[0]
    if size != output_size:
        raise PackError(f"{where}: the network gives {size} coefficients, expected {output_size}")
    return weights, biases
