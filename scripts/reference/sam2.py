"""Golden vectors for test/golden/sam2: transformers' Sam2Model with small random weights, in float64.

    python3 scripts/reference/sam2.py        (needs torch, transformers, safetensors)

model.safetensors    weights in Hugging Face's naming, float16
model.pt             the same in Meta's naming, under "model"
padded.safetensors   windows that do not fill the maps of the last two stages: a picture, what the trunk is given of it (every fourth pixel), the outputs of all
                     stages, embedding and fine maps, points, and for each the masks and qualities of all tokens and of the stable choice
plain.safetensors    windows that fill every map, other points
"""
import os
import numpy as np, torch, transformers
from safetensors.torch import save_file
from transformers import Sam2Config, Sam2MaskDecoderConfig, Sam2Model, Sam2PromptEncoderConfig, Sam2VisionConfig
from transformers.models.sam2.configuration_sam2 import Sam2HieraDetConfig

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden/sam2")
SIZE, WIDTH, CHANNELS, BLOCKS, GLOBAL = 128, 8, 32, [1, 2, 2, 1], [4]
VERSIONS = {"torch": torch.__version__, "transformers": transformers.__version__}


def model_of(windows):
    widths, grid = [WIDTH << i for i in range(4)], SIZE // 4
    trunk = Sam2HieraDetConfig(hidden_size=WIDTH, num_attention_heads=1, image_size=[SIZE, SIZE], blocks_per_stage=BLOCKS, embed_dim_per_stage=widths,
                               num_attention_heads_per_stage=[1, 2, 4, 8], window_size_per_stage=windows, global_attention_blocks=GLOBAL,
                               window_positional_embedding_background_size=[7, 7])
    vision = Sam2VisionConfig(backbone_config=trunk, backbone_channel_list=widths[::-1], backbone_feature_sizes=[[grid >> i] * 2 for i in range(3)],
                              fpn_hidden_size=CHANNELS)
    return Sam2Model(Sam2Config(vision_config=vision, prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=CHANNELS, image_size=SIZE, patch_size=16),
                                mask_decoder_config=Sam2MaskDecoderConfig(hidden_size=CHANNELS, mlp_dim=64, num_attention_heads=4, iou_head_hidden_dim=24))).eval()


def draw(model):
    for name, p in list(model.named_parameters()) + [("positions", model.shared_image_embedding.positional_embedding)]:
        norm = "norm" in name and name.endswith("weight")
        fan = p[0].numel() if p.ndim > 1 and "embed" not in name and "token" not in name and name != "positions" else 1
        p.data = (torch.randn_like(p) * (0.2 if norm or p.ndim == 1 else 1 / fan**0.5) + (1 if norm else 0)).half().float()
    model.prompt_encoder.shared_embedding.positional_embedding.data.copy_(model.shared_image_embedding.positional_embedding)


# Hugging Face -> Meta, in order
RENAMES = [("vision_encoder.backbone.", "image_encoder.trunk."), ("vision_encoder.neck.", "image_encoder.neck."), ("patch_embed.projection.", "patch_embed.proj."),
           ("mask_embed.conv1", "mask_downscaling.0"), ("mask_embed.layer_norm1", "mask_downscaling.1"), ("mask_embed.conv2", "mask_downscaling.3"),
           ("mask_embed.layer_norm2", "mask_downscaling.4"), ("mask_embed.conv3", "mask_downscaling.6"), ("upscale_conv1", "output_upscaling.0"),
           ("upscale_layer_norm", "output_upscaling.1"), ("upscale_conv2", "output_upscaling.3"), (".layer_norm", ".norm"), ("prompt_encoder.", "sam_prompt_encoder."),
           ("shared_embedding.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"), (".o_proj.", ".out_proj."), ("no_memory_embedding", "no_mem_embed"),
           ("mask_decoder.", "sam_mask_decoder.")]


def meta(state):
    out = {}
    for name, x in state.items():
        if name.startswith("shared_image_embedding."):
            continue
        if name == "prompt_encoder.point_embed.weight":
            out.update({f"sam_prompt_encoder.point_embeddings.{i}.weight": x[i : i + 1].clone() for i in range(4)})
            continue
        for a, b in RENAMES:
            name = name.replace(a, b)
        if "neck.convs" in name:
            name = name.replace(".weight", ".conv.weight").replace(".bias", ".conv.bias")
        three = "hypernetworks" in name or "_head." in name
        if three:
            name = name.replace(".layers.0.", ".layers.1.")
        out[name.replace(".proj_in.", ".layers.0.").replace(".proj_out.", ".layers.2." if three else ".layers.1.")] = x
    return out


def rows(x):  # [1, channels, height, width] -> [height, width, channels]
    return x[0].permute(1, 2, 0)


def outputs(model, picture, points, labels):
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].double() / 255
    x = torch.nn.functional.interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)
    x = (x - torch.tensor([0.485, 0.456, 0.406], dtype=x.dtype).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225], dtype=x.dtype).view(3, 1, 1)
    out = {"input": rows(x)[::4, ::4], "points": points, "labels": labels}
    for i, stage in enumerate(model.vision_encoder.backbone(x).intermediate_hidden_states):
        out[f"stage.{i}"] = stage[0]
    maps = model.get_image_embeddings(x)
    out.update({"fine.0": rows(maps[0]), "fine.1": rows(maps[1]), "keys": rows(maps[2]) + model.prompt_encoder.no_mask_embed.weight})
    ask = dict(image_embeddings=maps, input_points=points[None, :, None].double(), input_labels=labels[None, :, None].int())
    three = model(**ask, multimask_output=True)
    stable = model(**ask, multimask_output=False)
    model.mask_decoder.dynamic_multimask_via_stability = False
    one = model(**ask, multimask_output=False)
    out["masks"] = torch.cat([one.pred_masks, three.pred_masks], 2)[0]
    out["qualities"] = torch.cat([one.iou_scores, three.iou_scores], 2)[0]
    # Meta takes the best of the three where token 0 is not stable: which one that was
    out["stable"] = torch.stack([(out["masks"][p] - stable.pred_masks[0, p]).abs().amax((1, 2)).argmin() for p in range(len(points))])
    return {k: v.float().contiguous() for k, v in out.items()}


torch.manual_seed(2)
rng = np.random.default_rng(3)
os.makedirs(here, exist_ok=True)
picture = rng.integers(0, 256, (60, 150, 3), dtype=np.uint8)
weights = None
with torch.no_grad():
    for name, windows, count in [("padded", [8, 4, 6, 3], 6), ("plain", [8, 4, 4, 2], 3)]:
        model = model_of(windows)
        if weights is None:
            draw(model)
            weights = model.state_dict()
            half = {k: v.half().contiguous() for k, v in weights.items()}
            save_file(half, os.path.join(here, "model.safetensors"), VERSIONS)
            torch.save({"model": meta({k: v.clone() for k, v in half.items()})}, os.path.join(here, "model.pt"))
        model.load_state_dict(weights)
        out = outputs(model.double(), picture, torch.rand(count, 2) * SIZE, torch.arange(count) % 3 != 2)
        if name == "plain":  # what the other file says already
            out = {k: v for k, v in out.items() if k not in ("input", "stage.0", "stage.1", "fine.0", "fine.1")}
        out["picture"] = torch.from_numpy(picture).half()
        save_file(out, os.path.join(here, name + ".safetensors"), VERSIONS)
        print(name, out["stable"].tolist(), {k: round(v.float().std().item(), 3) for k, v in out.items()})
