"""How training images are varied."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from trainer.base_settings import Settings

Probability = Annotated[float, Field(ge=0, le=1)]


class RandAugmentSettings(Settings):
    """RandAugment (Cubuk et al. 2020): a number of operations per image, drawn at random, all of one strength.

    Attributes:
        num_operations: how many per image.
        magnitude: strength, from 0 for none to 1 for the paper's greatest.
    """

    num_operations: Annotated[int, Field(ge=1, le=8)] = 2
    magnitude: Annotated[float, Field(gt=0, le=1)] = 0.5


class AugmentationSettings(Settings):
    """What happens to training images, on the accelerator; by default nothing.

    Attributes:
        horizontal_flip: mirror half of the images.
        vertical_flip: turn half of the images upside down.
        min_crop_fraction: take a crop of at least this share of the image's area, of an aspect ratio from 3/4 to 4/3,
            and resize it to the full size; 1 for no crop (Szegedy et al. 2015).
        colour_strength: the most that brightness, contrast and saturation are changed by, as a share.
        rand_augment: see `RandAugmentSettings`.
        erasing_probability: how many of the images get a rectangle of noise (Zhong et al. 2020), of 2 to 33 % of the
            area.
        mix_up_alpha: blend each image with another, labels too, by a share from Beta(alpha, alpha); 0 for not (Zhang et
            al. 2018).
        cut_mix_alpha: paste a rectangle of another image, labels by area; 0 for not (Yun et al. 2019). With both, each
            batch takes one of the two, by a fair coin.
        num_views: each image is varied in so many ways only, drawn once, which take turns with the epochs: then what
            frozen layers make of them can be kept. None to vary it anew in every epoch. Mixing goes on in every batch.
    """

    horizontal_flip: bool = False
    vertical_flip: bool = False
    min_crop_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    colour_strength: Probability = 0.0
    rand_augment: RandAugmentSettings | None = None
    erasing_probability: Probability = 0.0
    mix_up_alpha: Annotated[float, Field(ge=0)] = 0.0
    cut_mix_alpha: Annotated[float, Field(ge=0)] = 0.0
    num_views: Annotated[int, Field(ge=1)] | None = None

    @property
    def changes_nothing(self) -> bool:
        """Whether images go into training as they are."""
        return self == AugmentationSettings()

    @property
    def mixes_images(self) -> bool:
        """Whether what becomes of an image depends on the batch."""
        return bool(self.mix_up_alpha or self.cut_mix_alpha)

    @model_validator(mode="after")
    def _views_differ(self) -> Self:
        if self.num_views is not None and self == AugmentationSettings.model_construct(num_views=self.num_views):
            raise ValueError(f"num_views is {self.num_views}, but nothing varies the images; leave it out")
        return self

    @model_validator(mode="after")
    def _crop_is_possible(self) -> Self:
        if self.min_crop_fraction < 0.01:
            raise ValueError(f"min_crop_fraction is {self.min_crop_fraction:g}; less than 0.01 leaves no image")
        return self
