"""What runs in a container of Kubeflow Pipelines: between its launcher and our executors.

    python -P -m components.kubeflow_entrypoint --executor_class_path … --json_serialized_invocation_args '{{$}}' …

TFX's own entrypoint is written for Vertex AI, and no step would run with it here (decision 0025).
"""
