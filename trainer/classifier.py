"""The model that is trained: scaling, backbone, pooling, Dropout, and a linear head."""

from typing import Any

import keras

from trainer.backbones import build_backbone, scale
from trainer.scaling import SCALING, Scaling
from trainer.settings import ModelSettings


class Classifier(keras.Model):
    """From uint8 pixels [batch, size, size, 3] to class probabilities, float32 [batch, classes].

    The backbone is always called with `training=False`: its Dropout and stochastic depth are off and its
    BatchNormalization uses the stored statistics, so frozen features are a function of the image alone. A Functional
    model would let `fit` override that argument; a subclass's `call` does not (Keras 3.15).

    Attributes:
        backbone: a Functional model.
    """

    def __init__(self, backbone: keras.Model, scaling: Scaling, num_classes: int, dropout_rate: float) -> None:
        super().__init__(name="classifier")
        self.backbone = backbone
        self._scaling: Scaling = scaling
        self.pooling = keras.layers.GlobalAveragePooling2D(name="pooling")
        self.dropout = keras.layers.Dropout(dropout_rate, name="dropout")
        self.head = keras.layers.Dense(num_classes, activation="softmax", dtype="float32", name="head")

    def build(self, input_shape: Any) -> None:
        """Makes the head's variables now rather than at the first call, so that they can be digested before it."""
        self.head.build((None, self.backbone.output_shape[-1]))
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        pixels = inputs["pixels"] if isinstance(inputs, dict) else inputs
        feature_map = self.backbone(scale(pixels, self._scaling), training=False)
        return self.head(self.dropout(self.pooling(feature_map), training=training))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Makes the loss of a batch the mean over its real examples, however they lie on replicas.

        Keras divides by the size of each replica's share, padding included; `trainer.datasets` pads the last batch with
        examples of weight 0 and gives the factor that corrects the division.
        """
        if isinstance(x, dict) and sample_weight is not None:
            sample_weight = sample_weight * x["loss_scale"]
        return super().compute_loss(x, y, y_pred, sample_weight, training)


def build_classifier(settings: ModelSettings, num_classes: int) -> Classifier:
    """A classifier with pretrained backbone and fresh head, built for its image size.

    Raises:
        ConfigurationError, WeightsError: see `trainer.backbones.build_backbone`.
    """
    backbone = build_backbone(settings)
    model = Classifier(backbone, SCALING[settings.backbone], num_classes, settings.dropout_rate)
    model.build((None, settings.image_size_px, settings.image_size_px, 3))
    return model
