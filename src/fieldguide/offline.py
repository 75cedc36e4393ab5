"""Nothing that Fieldguide loads may call out: every library's telemetry and hub look-ups are off before its import.

The package runs `switch_off_telemetry` when it is first imported, so no module of ours can come too early. Weights are
fetched by `weights.download` alone, which speaks to their sources itself.
"""

import os

QUIET_ENVIRONMENT = {
    "ANONYMIZED_TELEMETRY": "False",  # chromadb
    "CHROMA_OTEL_GRANULARITY": "none",
    "DO_NOT_TRACK": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "True",  # as Gradio sets it
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime, which MarkItDown brings: it would report to its maker when imported
    "OTEL_SDK_DISABLED": "true",
    "TOKENIZERS_PARALLELISM": "false",  # not telemetry: silences a warning after forks
}

# What the user asked for before we set it ourselves: someone who works offline does not want weights fetched from a hub.
# Children of this process see our own value, so the first process hands the user's choice on by a name of our own.
_KEPT_AS = "_FIELDGUIDE_USERS_HF_HUB_OFFLINE"
hub_refused_by_user = os.environ.setdefault(_KEPT_AS, os.environ.get("HF_HUB_OFFLINE", "0")).lower() in {
    "1",
    "on",
    "yes",
    "true",
}


def switch_off_telemetry() -> None:
    """Set every variable that keeps a dependency from calling out."""
    os.environ.update(QUIET_ENVIRONMENT)
