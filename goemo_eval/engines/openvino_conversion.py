"""Conversion for OpenVINO: FP32, BF16, and INT8 calibrated by NNCF on training texts.

The model is converted straight from torch, so that a layer that is passed several times, as
ALBERT's is, stays one layer, and compared with torch's logits before use.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.cpu import has_dot_products
from goemo_eval.engines.artifact import Artifact, ArtifactInfo, Variant, describe
from goemo_eval.engines.exported import (
    check_layers,
    check_logits,
    conversion,
    int8_rows,
    plain_attention,
)
from goemo_eval.engines.openvino import MODEL, compiled, kernels_of, openvino_module
from goemo_eval.engines.tokens import Tokens, by_length, save_tokens
from goemo_eval.errors import EngineError
from goemo_eval.models.pretrained import Layer, Pretrained
from goemo_eval.models.quiet import quiet_transformers

CALIBRATION_BATCH = 8


class OpenVinoConverter:
    """Writes any variant of one checkpoint; see `goemo_eval.engines.registry.Converter`.

    Parameters
    ----------
    pretrained : Pretrained
    calibration : sequence of str
        Training texts on which NNCF fits the INT8 ranges.
    threads : int
    """

    def __init__(self, pretrained: Pretrained, *, calibration: Sequence[str], threads: int) -> None:
        self.pretrained = pretrained
        self.calibration = calibration
        self.threads = threads

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The linear layers."""
        return self.pretrained.layers

    @cached_property
    def model(self) -> Any:
        """The FP32 model as OpenVINO has it, compared with torch."""
        openvino = openvino_module()
        path = self.pretrained.checkpoint.path
        with (
            conversion(path, "openvino"),
            warnings.catch_warnings(),
            _quiet(),
            quiet_transformers(),
            _attention(self.pretrained.module),
        ):
            # Tracing warns of Python values that it takes as constants: none depends on the input.
            warnings.simplefilter("ignore")
            model = openvino.convert_model(
                self.pretrained.logits_only(), example_input=self.pretrained.example_inputs()
            )
            request = compiled(model, threads=self.threads, streams=1).create_infer_request()
        check_logits(
            self.pretrained,
            lambda feed: next(iter(request.infer(list(feed.values())).values())),
            engine="openvino",
        )
        return model

    def write(self, variant: Variant, out: Path) -> Artifact:
        """Write a variant's artifact into an empty directory.

        `Variant.smoothed` changes nothing: NNCF spreads outliers by itself.

        Raises
        ------
        EngineError
            If the checkpoint cannot be converted, its logits are not torch's, INT8 is asked for without
            calibration texts, or a layer is unknown.
        """
        openvino = openvino_module()
        tokens = save_tokens(self.pretrained, out)
        model, share, backend = self.model, 0.0, None
        if variant.precision == "int8":
            check_layers(variant.kept_fp32, self.layers)
            model = self._quantized(variant.kept_fp32, Tokens(out, tokens))
            weights = {layer.name: layer.weights for layer in self.layers}
            kept = sum(weights[name] for name in variant.kept_fp32)
            share = 1 - kept / max(1, sum(weights.values()))
            backend = f"nncf {_nncf().__version__}"
        elif variant.precision == "bf16":
            encoder = f"{self.pretrained.module.base_model_prefix}."
            inside = {layer.name for layer in self.layers if layer.name.startswith(encoder)}
            model = _halved(self.model, self._operations(inside))
        openvino.save_model(model, out / MODEL, compress_to_fp16=False)
        example = compiled(model, precision=variant.precision, threads=self.threads, streams=1)
        example.create_infer_request().infer([t.numpy() for t in self.pretrained.example_inputs()])
        info = ArtifactInfo(
            variant=variant,
            engine_version=openvino.get_version(),
            labels=self.pretrained.checkpoint.labels,
            parameters=self.pretrained.parameters,
            int8_share=share,
            kernels=f"{variant.precision} ({kernels_of(example)})",
            quantized_engine=backend,
            dot_products=has_dot_products(),
            tokens=tokens,
            checkpoint_sha256=self.pretrained.checkpoint.content_sha256,
        )
        describe(out, info)
        return Artifact(out, info)

    def _quantized(self, kept_fp32: Collection[str], tokens: Tokens) -> Any:
        if not self.calibration:
            raise EngineError(
                "engine openvino needs calibration texts for INT8: pass calibration=[...], some "
                "hundred of the texts that the checkpoint was trained on"
            )
        nncf = _nncf()
        names = [port.get_any_name() for port in self.model.inputs]
        encoded = tokens.encode(self.calibration)
        batches = [
            tokens.pad(encoded, rows) for rows in by_length(encoded, batch_size=CALIBRATION_BATCH)
        ]
        dataset = nncf.Dataset(
            batches, lambda batch: dict(zip(names, batch.inputs.values(), strict=True))
        )
        ignored = nncf.IgnoredScope(
            names=self._operations(kept_fp32),
            # It runs in FP32 either way: rounding its queries and keys would only cost accuracy.
            types=["ScaledDotProductAttention"],
            validate=False,
        )
        # Without dot-product instructions sums of 16 bits saturate, unless weights have 7 bits.
        fix = nncf.OverflowFix.DISABLE if has_dot_products() else nncf.OverflowFix.ENABLE
        with _quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NNCF's own, of numpy and of the packages it wraps
            return nncf.quantize(
                _with_int8_tables(self.model),
                dataset,
                model_type=nncf.ModelType.TRANSFORMER,
                subset_size=len(batches),
                ignored_scope=ignored,
                advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix),
            )

    def _operations(self, layers: Collection[str]) -> list[str]:
        """Return the names of the matrix products that layers became."""
        wanted = {f"__module.model.{layer}" for layer in layers}
        return [
            name
            for operation in self.model.get_ops()
            if operation.get_type_name() == "MatMul"
            and (name := operation.get_friendly_name()).split("/")[0] in wanted
        ]


def _attention(module: Any) -> AbstractContextManager[None]:
    """Return how attention is to be written: in one operation, where every token sees every other.

    A token of padding that sees a window of padding alone, as ModernBERT's do, has nothing to attend to:
    OpenVINO's operation makes NaN of that, and of all tokens in the next layer.
    """
    kinds = set(getattr(module.config, "layer_types", None) or ())
    return nullcontext() if kinds <= {"full_attention"} else plain_attention(module)


def _halved(model: Any, products: Collection[str]) -> Any:
    """Return a copy whose embedding tables, and the weights of some matrix products, have 16 bits.

    The plugin multiplies in BF16 what the model says in FP32. On disk the 16 bits are FP16, which has three
    digits more and a type in numpy; a weight beyond its range stays in FP32. The head's weights do: its logits
    are then FP32 too.
    """
    opset = openvino_module().opset13
    copied = model.clone()
    made: dict[str, Any] = {}  # a layer that is passed several times stays one
    for product in copied.get_ops():
        if product.get_friendly_name() not in products:
            continue
        weight = product.input_value(1).get_node()
        if weight.get_type_name() != "Constant" or not _fits_fp16(weight.data):
            continue
        name = weight.get_friendly_name()
        if name not in made:
            made[name] = opset.convert(opset.constant(weight.data.astype(np.float16)), "f32")
        product.input(1).replace_source_output(made[name].output(0))
    for lookup in filter(_looks_up_rows, copied.get_ops()):
        table, ids, axis = lookup.input_values()
        if not _fits_fp16(table.get_node().data):
            continue
        rows = opset.constant(table.get_node().data.astype(np.float16))
        found = opset.convert(opset.gather(rows, ids, axis), "f32")
        found.set_friendly_name(lookup.get_friendly_name())
        for reader in lookup.output(0).get_target_inputs():
            reader.replace_source_output(found.output(0))
    copied.validate_nodes_and_infer_types()
    return copied


def _fits_fp16(array: npt.NDArray[np.float32]) -> bool:
    return bool(np.abs(array).max(initial=0) <= np.finfo(np.float16).max)


def _with_int8_tables(model: Any) -> Any:
    """Return a copy whose embedding lookups find INT8 rows, and multiply them by their scales.

    NNCF would store tables in INT8 too, but scale them before the lookup: OpenVINO computes such a
    table in FP32 when it compiles the model, and holds that.
    """
    opset = openvino_module().opset13
    copied = model.clone()
    for lookup in filter(_looks_up_rows, copied.get_ops()):
        table, ids, axis = lookup.input_values()
        rows, scale = (opset.constant(array) for array in int8_rows(table.get_node().data))
        found = opset.convert(opset.gather(rows, ids, axis), "f32")
        scaled = opset.multiply(found, opset.gather(scale, ids, axis))
        scaled.set_friendly_name(lookup.get_friendly_name())
        for reader in lookup.output(0).get_target_inputs():
            reader.replace_source_output(scaled.output(0))
    copied.validate_nodes_and_infer_types()
    return copied


def _looks_up_rows(operation: Any) -> bool:
    """Say whether an operation takes whole rows of a constant table in FP32."""
    if operation.get_type_name() != "Gather" or operation.get_attributes()["batch_dims"]:
        return False
    table, _, axis = (port.get_node() for port in operation.input_values())
    return (
        table.get_type_name() == axis.get_type_name() == "Constant"
        and len(table.shape) == 2
        and table.get_element_type() == openvino_module().Type.f32
        and int(axis.data) == 0
    )


@cache
def _nncf() -> Any:
    openvino_module()
    os.environ.setdefault("NNCF_CI", "1")
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        import nncf
    nncf.set_log_level(logging.ERROR)
    return nncf


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what NNCF prints to stderr if someone watches it, else nowhere: results own stdout."""
    with redirect_stdout(sys.stderr if sys.stderr.isatty() else io.StringIO()):
        yield
