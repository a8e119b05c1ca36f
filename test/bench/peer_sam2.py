"""transformers beside test/bench/sam2.c, on the same random weights, picture and points.   peer_sam2.py make MODEL | peer_sam2.py MODEL THREADS GRID stable|single TO
prints: seconds of the picture and of the masks (64 points at a time), those of all cores together, bytes of memory at most, mean of the logits' sizes"""
import resource, sys, time
import torch
from transformers import Sam2Config, Sam2MaskDecoderConfig, Sam2Model, Sam2PromptEncoderConfig, Sam2VisionConfig
from transformers.models.sam2.configuration_sam2 import Sam2HieraDetConfig

SIZE, SIDE, BATCH = 1024, 448, 64
widths, grid = [96, 192, 384, 768], SIZE // 4
trunk = Sam2HieraDetConfig(hidden_size=96, num_attention_heads=1, image_size=[SIZE, SIZE], blocks_per_stage=[1, 2, 7, 2], embed_dim_per_stage=widths,
                           num_attention_heads_per_stage=[1, 2, 4, 8], window_size_per_stage=[8, 4, 14, 7], global_attention_blocks=[5, 7, 9],
                           window_positional_embedding_background_size=[7, 7])
vision = Sam2VisionConfig(backbone_config=trunk, backbone_channel_list=widths[::-1], backbone_feature_sizes=[[grid >> i] * 2 for i in range(3)])
model = Sam2Model(Sam2Config(vision_config=vision, prompt_encoder_config=Sam2PromptEncoderConfig(), mask_decoder_config=Sam2MaskDecoderConfig())).eval()
if sys.argv[1] == "make":
    from safetensors.torch import save_file

    torch.manual_seed(1)
    for name, p in model.named_parameters():
        norm = "norm" in name and name.endswith("weight")
        fan = p[0].numel() if p.ndim > 1 and "embed" not in name and "token" not in name else 1
        p.data = torch.randn_like(p) * (0.2 if norm or p.ndim == 1 else 1 / fan**0.5) + (1 if norm else 0)
    model.prompt_encoder.shared_embedding.positional_embedding.data.copy_(model.shared_image_embedding.positional_embedding)
    save_file({k: v.clone() for k, v in model.state_dict().items()}, sys.argv[2])
    sys.exit()
from safetensors.torch import load_file

path, threads, n, choice, to = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
torch.set_num_threads(threads)
model.load_state_dict(load_file(path))
model.mask_decoder.dynamic_multimask_via_stability = choice == "stable"
i = torch.arange(3 * SIDE * SIDE)
pixels = ((i * 37 % 251 + i // 3 % SIDE // 100) % 256).view(SIDE, SIDE, 3)
at = (torch.arange(n) + 0.5) * SIZE / n
points = torch.stack(torch.meshgrid(at, at, indexing="ij")[::-1], 2).view(n * n, 2)
mean, deviation = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
with torch.inference_mode():
    start, cores = time.perf_counter(), [time.process_time()]
    x = torch.nn.functional.interpolate(pixels.permute(2, 0, 1)[None].float() / 255, (SIZE, SIZE), mode="bilinear", antialias=True)
    maps = model.get_image_embeddings((x - mean) / deviation)
    taken = time.perf_counter()
    cores.append(time.process_time())
    rows = torch.empty(n * n, to, to)
    for p in range(0, n * n, BATCH):
        some = points[None, p : p + BATCH, None]
        masks = model(image_embeddings=maps, input_points=some, input_labels=torch.ones(some.shape[:3], dtype=torch.int), multimask_output=False).pred_masks[0]
        rows[p : p + BATCH] = (masks if to == grid else torch.nn.functional.interpolate(masks, (to, to), mode="bilinear"))[:, 0]
    end = time.perf_counter()
    cores.append(time.process_time())
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print("%.3f %.3f %.3f %.3f %d %.6g" % (taken - start, end - taken, cores[1] - cores[0], cores[2] - cores[1], memory, rows.abs().mean()))
