"""The model that is trained: scaling, backbone, pooling, Dropout, and a linear head."""

from typing import Any

import keras

from trainer import layer_graph
from trainer.backbones import build_backbone, scale
from trainer.layer_graph import TrainingOf
from trainer.modes import Modes
from trainer.precision import building_in, precision_of
from trainer.scaling import SCALING, Scaling
from trainer.settings import ModelSettings


class Classifier(keras.Model):
    """From uint8 pixels [batch, size, size, 3] to class probabilities, float32 [batch, classes].

    Which layers of the backbone are ever in training mode is part of a phase (`trainer.freezing.freeze`); those below
    the freeze boundary never are, so that frozen features are a function of the image alone. The backbone may compute
    in mixed precision; from pooling on, all is float32.

    Attributes:
        backbone: a Functional model.
        modes: of the present phase. A function that TensorFlow has traced already does not see a change.
    """

    def __init__(self, backbone: keras.Model, scaling: Scaling, num_classes: int, dropout_rate: float) -> None:
        super().__init__(name="classifier", dtype="float32")
        self.backbone = backbone
        self._scaling: Scaling = scaling
        self.modes: Modes = Modes()
        self.pooling = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pooling")
        self.dropout = keras.layers.Dropout(dropout_rate, dtype="float32", name="dropout")
        self.head = keras.layers.Dense(num_classes, dtype="float32", name="head")

    def build(self, input_shape: Any) -> None:
        """Makes the head's variables now rather than at the first call, so that they can be digested before it."""
        self.head.build((None, self.backbone.output_shape[-1]))
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return keras.ops.softmax(self.logits(inputs, bool(training)))

    def logits(self, inputs: Any, training: bool) -> Any:
        """What the probabilities are the softmax of.

        Args:
            inputs: pixels [batch, size, size, 3] in 0..255, of any real dtype, or a dictionary with them at "pixels".
            training: a Python boolean; see `Modes` for what it turns on.

        Returns:
            float32 [batch, classes].
        """
        in_training = self.modes.in_training
        features = self.feature_map(inputs, lambda layer: training and id(layer) in in_training)
        return self.classify(self.pooling(features), training)

    def classify(self, pooled: Any, training: bool) -> Any:
        """Logits, float32 [batch, classes], from pooled features [batch, channels]."""
        return self.head(self.dropout(pooled, training=training))

    def feature_map(self, inputs: Any, training_of: TrainingOf) -> Any:
        """What the backbone makes of the pixels, with a mode of each layer's own: [batch, height, width, channels]."""
        return layer_graph.run(self.backbone, self.scaled(inputs), training_of, self.modes.detached)

    def scaled(self, inputs: Any) -> Any:
        """What the backbone takes: float32 of the pixels' shape; for `inputs` see `logits`."""
        pixels = inputs["pixels"] if isinstance(inputs, dict) else inputs
        return scale(pixels, self._scaling)


def build_classifier(settings: ModelSettings, num_classes: int) -> Classifier:
    """A classifier with pretrained backbone and fresh head, built for its image size.

    Raises:
        ConfigurationError, WeightsError: see `trainer.backbones.build_backbone`.
    """
    with building_in(precision_of(settings.compute)):
        backbone = build_backbone(settings)
    model = Classifier(backbone, SCALING[settings.backbone], num_classes, settings.dropout_rate)
    model.build((None, settings.image_size_px, settings.image_size_px, 3))
    return model
