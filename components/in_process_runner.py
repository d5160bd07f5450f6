"""Apache Beam on one machine, without a program from elsewhere."""

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import Pipeline
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.runners.runner import PipelineResult, PipelineRunner


class InProcessRunner(PipelineRunner):
    """What Beam's DirectRunner comes to in the end, at once.

    DirectRunner tries Prism first, whatever its mode (`apache_beam.runners.direct.direct_runner`, Beam 2.77): it
    fetches that program from the network, unchecked, or has an installed Go build the newest, and runs the pipeline on
    it. Where it cannot, it falls back to the runner used here, and leaves an empty folder behind.
    """

    def run_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> PipelineResult:
        """Runs it in this process, or in workers that it starts (`direct_running_mode`), which are told the options."""
        encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
        provision = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
        runner = fn_runner.FnApiRunner(provision_info=fn_runner.ExtendedProvisionInfo(provision))
        return runner.run_pipeline(pipeline, options)
