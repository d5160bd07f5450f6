"""How far a training has come after an epoch, and how good it is, for whoever listens to `trainer.progress`."""

from collections.abc import Sequence

from trainer.history import EpochRecord
from trainer.phase_length import PhaseLength
from trainer.progress import Progress


def of(record: EpochRecord, lengths: Sequence[PhaseLength], phase: int) -> Progress:
    """What is reported of an epoch.

    Args:
        record: of the epoch.
        lengths: of all phases, in the order of training.
        phase: place of the epoch's phase among them.
    """
    present, num_before = lengths[phase], sum(length.num_evaluations for length in lengths[:phase])
    where = (
        f"{record.epoch}/{present.num_evaluations}"
        if present.unit == "epoch"
        else f"step {record.step}/{present.num_steps}"
    )
    note = (
        f"{record.phase} {where} · loss {record.train_loss:.4f} · accuracy {record.train_accuracy:.4f} "
        f"· eval log loss {record.eval_log_loss:.4f} · eval accuracy {record.eval_accuracy:.4f}"
    )
    num_evaluations = sum(length.num_evaluations for length in lengths)
    unit = "epochs" if all(length.unit == "epoch" for length in lengths) else "evaluations"
    return Progress(num_before + record.epoch, num_evaluations, unit, note)
