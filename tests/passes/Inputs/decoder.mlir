// Two decoder layers of a Qwen3-like model: norms on q and k, grouped heads, a gated MLP, a bias on q, a window in layer 1.
!ids = tensor<?x?xi64, #fr.dims<B, S>>
!x = tensor<?x?x16xf32, #fr.dims<B, S, _>>
!kv = tensor<?x?x8xf32, #fr.dims<B, S, _>>
!ff = tensor<?x?x24xf32, #fr.dims<B, S, _>>
!q4 = tensor<?x?x4x4xf32, #fr.dims<B, S, _, _>>
!k4 = tensor<?x?x2x4xf32, #fr.dims<B, S, _, _>>
!qh = tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>
!kh = tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>
!past = tensor<?x2x?x4xf32, #fr.dims<B, _, P, _>>
!all = tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>
!table = tensor<?x?x2xf32, #fr.dims<B, S, _>>
!mask = tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>
module {
  fr.weights @source {
    fr.weight @"model.embed_tokens.weight" : tensor<32x16xbf16>
    fr.weight @"model.layers.0.input_layernorm.weight" : tensor<16xbf16>
    fr.weight @"model.layers.0.self_attn.q_proj.weight" : tensor<16x16xbf16>
    fr.weight @"model.layers.0.self_attn.q_proj.bias" : tensor<16xbf16>
    fr.weight @"model.layers.0.self_attn.k_proj.weight" : tensor<8x16xbf16>
    fr.weight @"model.layers.0.self_attn.v_proj.weight" : tensor<8x16xbf16>
    fr.weight @"model.layers.0.self_attn.o_proj.weight" : tensor<16x16xbf16>
    fr.weight @"model.layers.0.self_attn.q_norm.weight" : tensor<4xbf16>
    fr.weight @"model.layers.0.self_attn.k_norm.weight" : tensor<4xbf16>
    fr.weight @"model.layers.0.post_attention_layernorm.weight" : tensor<16xbf16>
    fr.weight @"model.layers.0.mlp.gate_proj.weight" : tensor<24x16xbf16>
    fr.weight @"model.layers.0.mlp.up_proj.weight" : tensor<24x16xbf16>
    fr.weight @"model.layers.0.mlp.down_proj.weight" : tensor<16x24xbf16>
    fr.weight @"model.layers.1.input_layernorm.weight" : tensor<16xbf16>
    fr.weight @"model.layers.1.self_attn.q_proj.weight" : tensor<16x16xbf16>
    fr.weight @"model.layers.1.self_attn.q_proj.bias" : tensor<16xbf16>
    fr.weight @"model.layers.1.self_attn.k_proj.weight" : tensor<8x16xbf16>
    fr.weight @"model.layers.1.self_attn.v_proj.weight" : tensor<8x16xbf16>
    fr.weight @"model.layers.1.self_attn.o_proj.weight" : tensor<16x16xbf16>
    fr.weight @"model.layers.1.self_attn.q_norm.weight" : tensor<4xbf16>
    fr.weight @"model.layers.1.self_attn.k_norm.weight" : tensor<4xbf16>
    fr.weight @"model.layers.1.post_attention_layernorm.weight" : tensor<16xbf16>
    fr.weight @"model.layers.1.mlp.gate_proj.weight" : tensor<24x16xbf16>
    fr.weight @"model.layers.1.mlp.up_proj.weight" : tensor<24x16xbf16>
    fr.weight @"model.layers.1.mlp.down_proj.weight" : tensor<16x24xbf16>
    fr.weight @"model.norm.weight" : tensor<16xbf16>
    fr.weight @"rotary.inv_freq" : tensor<2xbf16>
    fr.weight @"step" : tensor<1xi64>
  }
  fr.param @"model.embed_tokens.weight" : tensor<32x16xbf16> {
    %0 = fr.get @source::@"model.embed_tokens.weight" : tensor<32x16xbf16>
    fr.yield %0 : tensor<32x16xbf16>
  }
  fr.param @"model.layers.0.input_layernorm.weight" : tensor<16xbf16> {
    %0 = fr.get @source::@"model.layers.0.input_layernorm.weight" : tensor<16xbf16>
    fr.yield %0 : tensor<16xbf16>
  }
  fr.param @"model.layers.0.self_attn.q_proj.weight" : tensor<16x16xbf16> {
    %0 = fr.get @source::@"model.layers.0.self_attn.q_proj.weight" : tensor<16x16xbf16>
    fr.yield %0 : tensor<16x16xbf16>
  }
  fr.param @"model.layers.0.self_attn.q_proj.bias" : tensor<16xbf16> {
    %0 = fr.get @source::@"model.layers.0.self_attn.q_proj.bias" : tensor<16xbf16>
    fr.yield %0 : tensor<16xbf16>
  }
  fr.param @"model.layers.0.self_attn.k_proj.weight" : tensor<8x16xbf16> {
    %0 = fr.get @source::@"model.layers.0.self_attn.k_proj.weight" : tensor<8x16xbf16>
    fr.yield %0 : tensor<8x16xbf16>
  }
  fr.param @"model.layers.0.self_attn.v_proj.weight" : tensor<8x16xbf16> {
    %0 = fr.get @source::@"model.layers.0.self_attn.v_proj.weight" : tensor<8x16xbf16>
    fr.yield %0 : tensor<8x16xbf16>
  }
  fr.param @"model.layers.0.self_attn.o_proj.weight" : tensor<16x16xbf16> {
    %0 = fr.get @source::@"model.layers.0.self_attn.o_proj.weight" : tensor<16x16xbf16>
    fr.yield %0 : tensor<16x16xbf16>
  }
  fr.param @"model.layers.0.self_attn.q_norm.weight" : tensor<4xbf16> {
    %0 = fr.get @source::@"model.layers.0.self_attn.q_norm.weight" : tensor<4xbf16>
    fr.yield %0 : tensor<4xbf16>
  }
  fr.param @"model.layers.0.self_attn.k_norm.weight" : tensor<4xbf16> {
    %0 = fr.get @source::@"model.layers.0.self_attn.k_norm.weight" : tensor<4xbf16>
    fr.yield %0 : tensor<4xbf16>
  }
  fr.param @"model.layers.0.post_attention_layernorm.weight" : tensor<16xbf16> {
    %0 = fr.get @source::@"model.layers.0.post_attention_layernorm.weight" : tensor<16xbf16>
    fr.yield %0 : tensor<16xbf16>
  }
  fr.param @"model.layers.0.mlp.gate_proj.weight" : tensor<24x16xbf16> {
    %0 = fr.get @source::@"model.layers.0.mlp.gate_proj.weight" : tensor<24x16xbf16>
    fr.yield %0 : tensor<24x16xbf16>
  }
  fr.param @"model.layers.0.mlp.up_proj.weight" : tensor<24x16xbf16> {
    %0 = fr.get @source::@"model.layers.0.mlp.up_proj.weight" : tensor<24x16xbf16>
    fr.yield %0 : tensor<24x16xbf16>
  }
  fr.param @"model.layers.0.mlp.down_proj.weight" : tensor<16x24xbf16> {
    %0 = fr.get @source::@"model.layers.0.mlp.down_proj.weight" : tensor<16x24xbf16>
    fr.yield %0 : tensor<16x24xbf16>
  }
  fr.param @"model.layers.1.input_layernorm.weight" : tensor<16xbf16> {
    %0 = fr.get @source::@"model.layers.1.input_layernorm.weight" : tensor<16xbf16>
    fr.yield %0 : tensor<16xbf16>
  }
  fr.param @"model.layers.1.self_attn.q_proj.weight" : tensor<16x16xbf16> {
    %0 = fr.get @source::@"model.layers.1.self_attn.q_proj.weight" : tensor<16x16xbf16>
    fr.yield %0 : tensor<16x16xbf16>
  }
  fr.param @"model.layers.1.self_attn.q_proj.bias" : tensor<16xbf16> {
    %0 = fr.get @source::@"model.layers.1.self_attn.q_proj.bias" : tensor<16xbf16>
    fr.yield %0 : tensor<16xbf16>
  }
  fr.param @"model.layers.1.self_attn.k_proj.weight" : tensor<8x16xbf16> {
    %0 = fr.get @source::@"model.layers.1.self_attn.k_proj.weight" : tensor<8x16xbf16>
    fr.yield %0 : tensor<8x16xbf16>
  }
  fr.param @"model.layers.1.self_attn.v_proj.weight" : tensor<8x16xbf16> {
    %0 = fr.get @source::@"model.layers.1.self_attn.v_proj.weight" : tensor<8x16xbf16>
    fr.yield %0 : tensor<8x16xbf16>
  }
  fr.param @"model.layers.1.self_attn.o_proj.weight" : tensor<16x16xbf16> {
    %0 = fr.get @source::@"model.layers.1.self_attn.o_proj.weight" : tensor<16x16xbf16>
    fr.yield %0 : tensor<16x16xbf16>
  }
  fr.param @"model.layers.1.self_attn.q_norm.weight" : tensor<4xbf16> {
    %0 = fr.get @source::@"model.layers.1.self_attn.q_norm.weight" : tensor<4xbf16>
    fr.yield %0 : tensor<4xbf16>
  }
  fr.param @"model.layers.1.self_attn.k_norm.weight" : tensor<4xbf16> {
    %0 = fr.get @source::@"model.layers.1.self_attn.k_norm.weight" : tensor<4xbf16>
    fr.yield %0 : tensor<4xbf16>
  }
  fr.param @"model.layers.1.post_attention_layernorm.weight" : tensor<16xbf16> {
    %0 = fr.get @source::@"model.layers.1.post_attention_layernorm.weight" : tensor<16xbf16>
    fr.yield %0 : tensor<16xbf16>
  }
  fr.param @"model.layers.1.mlp.gate_proj.weight" : tensor<24x16xbf16> {
    %0 = fr.get @source::@"model.layers.1.mlp.gate_proj.weight" : tensor<24x16xbf16>
    fr.yield %0 : tensor<24x16xbf16>
  }
  fr.param @"model.layers.1.mlp.up_proj.weight" : tensor<24x16xbf16> {
    %0 = fr.get @source::@"model.layers.1.mlp.up_proj.weight" : tensor<24x16xbf16>
    fr.yield %0 : tensor<24x16xbf16>
  }
  fr.param @"model.layers.1.mlp.down_proj.weight" : tensor<16x24xbf16> {
    %0 = fr.get @source::@"model.layers.1.mlp.down_proj.weight" : tensor<16x24xbf16>
    fr.yield %0 : tensor<16x24xbf16>
  }
  fr.param @"model.norm.weight" : tensor<16xbf16> {
    %0 = fr.get @source::@"model.norm.weight" : tensor<16xbf16>
    fr.yield %0 : tensor<16xbf16>
  }
  fr.param @"rotary.inv_freq" : tensor<2xbf16> {
    %0 = fr.get @source::@"rotary.inv_freq" : tensor<2xbf16>
    fr.yield %0 : tensor<2xbf16>
  }
  fr.param @"step" : tensor<1xi64> {
    %0 = fr.get @source::@"step" : tensor<1xi64>
    fr.yield %0 : tensor<1xi64>
  }
  fr.state @"layers.0.key" kv layer 0 part "key" axis 2 : !past
  fr.state @"layers.0.value" kv layer 0 part "value" axis 2 : !past
  fr.state @"layers.1.key" kv layer 1 part "key" axis 2 : !past
  fr.state @"layers.1.value" kv layer 1 part "value" axis 2 : !past
  func.func @main(%ids: !ids {fr.name = "input_ids"}, %padding: tensor<?x?xi64, #fr.dims<B, P + S>> {fr.name = "attention_mask"},
                  %positions: !ids {fr.name = "position_ids"}) -> (tensor<?x?x32xf32, #fr.dims<B, S, _>> {fr.name = "logits"}) {
    %table = fr.use @"model.embed_tokens.weight" : tensor<32x16xbf16>
    %embedded = fr.embedding %ids, %table : (!ids, tensor<32x16xbf16>) -> !x
    %cos, %sin = fr.rope_table default %positions dim 4 theta 1.000000e+04 : (!ids) -> (!table, !table)
    %l0 = fr.tap "model.layers.0", %embedded : !x
    %l0_input_layernorm_w = fr.use @"model.layers.0.input_layernorm.weight" : tensor<16xbf16>
    %l0n = fr.rms_norm %l0, %l0_input_layernorm_w eps 1.000000e-06 : (!x, tensor<16xbf16>) -> !x
    %l0_self_attn_q_proj_w = fr.use @"model.layers.0.self_attn.q_proj.weight" : tensor<16x16xbf16>
    %l0_self_attn_q_proj_b = fr.use @"model.layers.0.self_attn.q_proj.bias" : tensor<16xbf16>
    %l0q0 = fr.linear %l0n, %l0_self_attn_q_proj_w, %l0_self_attn_q_proj_b : (!x, tensor<16x16xbf16>, tensor<16xbf16>) -> !x
    %l0q1 = fr.reshape %l0q0 : (!x) -> !q4
    %l0_self_attn_q_norm_w = fr.use @"model.layers.0.self_attn.q_norm.weight" : tensor<4xbf16>
    %l0q2 = fr.rms_norm %l0q1, %l0_self_attn_q_norm_w eps 1.000000e-06 : (!q4, tensor<4xbf16>) -> !q4
    %l0q3 = fr.transpose %l0q2 [0, 2, 1, 3] : (!q4) -> !qh
    %l0q = fr.rope %l0q3, %cos, %sin : (!qh, !table, !table) -> !qh
    %l0_self_attn_k_proj_w = fr.use @"model.layers.0.self_attn.k_proj.weight" : tensor<8x16xbf16>
    %l0k0 = fr.linear %l0n, %l0_self_attn_k_proj_w : (!x, tensor<8x16xbf16>) -> !kv
    %l0k1 = fr.reshape %l0k0 : (!kv) -> !k4
    %l0_self_attn_k_norm_w = fr.use @"model.layers.0.self_attn.k_norm.weight" : tensor<4xbf16>
    %l0k2 = fr.rms_norm %l0k1, %l0_self_attn_k_norm_w eps 1.000000e-06 : (!k4, tensor<4xbf16>) -> !k4
    %l0k3 = fr.transpose %l0k2 [0, 2, 1, 3] : (!k4) -> !kh
    %l0k4 = fr.rope %l0k3, %cos, %sin : (!kh, !table, !table) -> !kh
    %l0k = fr.state.append @"layers.0.key", %l0k4 : (!kh) -> !all
    %l0_self_attn_v_proj_w = fr.use @"model.layers.0.self_attn.v_proj.weight" : tensor<8x16xbf16>
    %l0v0 = fr.linear %l0n, %l0_self_attn_v_proj_w : (!x, tensor<8x16xbf16>) -> !kv
    %l0v1 = fr.reshape %l0v0 : (!kv) -> !k4
    %l0v2 = fr.transpose %l0v1 [0, 2, 1, 3] : (!k4) -> !kh
    %l0v = fr.state.append @"layers.0.value", %l0v2 : (!kh) -> !all
    %l0m = fr.attention_mask padding %padding : tensor<?x?xi64, #fr.dims<B, P + S>> {causal = true} : !mask
    %l0a0 = fr.attention %l0q, %l0k, %l0v, %l0m scale 5.000000e-01 : (!qh, !all, !all, !mask) -> !qh
    %l0a1 = fr.transpose %l0a0 [0, 2, 1, 3] : (!qh) -> !q4
    %l0a2 = fr.reshape %l0a1 : (!q4) -> !x
    %l0_self_attn_o_proj_w = fr.use @"model.layers.0.self_attn.o_proj.weight" : tensor<16x16xbf16>
    %l0a3 = fr.linear %l0a2, %l0_self_attn_o_proj_w : (!x, tensor<16x16xbf16>) -> !x
    %l0a = fr.tap "model.layers.0.self_attn", %l0a3 : !x
    %l0r = fr.add %l0, %l0a : (!x, !x) -> !x
    %l0_post_attention_layernorm_w = fr.use @"model.layers.0.post_attention_layernorm.weight" : tensor<16xbf16>
    %l0p = fr.rms_norm %l0r, %l0_post_attention_layernorm_w eps 1.000000e-06 : (!x, tensor<16xbf16>) -> !x
    %l0_mlp_gate_proj_w = fr.use @"model.layers.0.mlp.gate_proj.weight" : tensor<24x16xbf16>
    %l0g0 = fr.linear %l0p, %l0_mlp_gate_proj_w : (!x, tensor<24x16xbf16>) -> !ff
    %l0g = fr.silu %l0g0 : (!ff) -> !ff
    %l0_mlp_up_proj_w = fr.use @"model.layers.0.mlp.up_proj.weight" : tensor<24x16xbf16>
    %l0u = fr.linear %l0p, %l0_mlp_up_proj_w : (!x, tensor<24x16xbf16>) -> !ff
    %l0h = fr.mul %l0g, %l0u : (!ff, !ff) -> !ff
    %l0_mlp_down_proj_w = fr.use @"model.layers.0.mlp.down_proj.weight" : tensor<16x24xbf16>
    %l0d = fr.linear %l0h, %l0_mlp_down_proj_w : (!ff, tensor<16x24xbf16>) -> !x
    %l0f = fr.tap "model.layers.0.mlp", %l0d : !x
    %l0out = fr.add %l0r, %l0f : (!x, !x) -> !x
    %l1 = fr.tap "model.layers.1", %l0out : !x
    %l1_input_layernorm_w = fr.use @"model.layers.1.input_layernorm.weight" : tensor<16xbf16>
    %l1n = fr.rms_norm %l1, %l1_input_layernorm_w eps 1.000000e-06 : (!x, tensor<16xbf16>) -> !x
    %l1_self_attn_q_proj_w = fr.use @"model.layers.1.self_attn.q_proj.weight" : tensor<16x16xbf16>
    %l1_self_attn_q_proj_b = fr.use @"model.layers.1.self_attn.q_proj.bias" : tensor<16xbf16>
    %l1q0 = fr.linear %l1n, %l1_self_attn_q_proj_w, %l1_self_attn_q_proj_b : (!x, tensor<16x16xbf16>, tensor<16xbf16>) -> !x
    %l1q1 = fr.reshape %l1q0 : (!x) -> !q4
    %l1_self_attn_q_norm_w = fr.use @"model.layers.1.self_attn.q_norm.weight" : tensor<4xbf16>
    %l1q2 = fr.rms_norm %l1q1, %l1_self_attn_q_norm_w eps 1.000000e-06 : (!q4, tensor<4xbf16>) -> !q4
    %l1q3 = fr.transpose %l1q2 [0, 2, 1, 3] : (!q4) -> !qh
    %l1q = fr.rope %l1q3, %cos, %sin : (!qh, !table, !table) -> !qh
    %l1_self_attn_k_proj_w = fr.use @"model.layers.1.self_attn.k_proj.weight" : tensor<8x16xbf16>
    %l1k0 = fr.linear %l1n, %l1_self_attn_k_proj_w : (!x, tensor<8x16xbf16>) -> !kv
    %l1k1 = fr.reshape %l1k0 : (!kv) -> !k4
    %l1_self_attn_k_norm_w = fr.use @"model.layers.1.self_attn.k_norm.weight" : tensor<4xbf16>
    %l1k2 = fr.rms_norm %l1k1, %l1_self_attn_k_norm_w eps 1.000000e-06 : (!k4, tensor<4xbf16>) -> !k4
    %l1k3 = fr.transpose %l1k2 [0, 2, 1, 3] : (!k4) -> !kh
    %l1k4 = fr.rope %l1k3, %cos, %sin : (!kh, !table, !table) -> !kh
    %l1k = fr.state.append @"layers.1.key", %l1k4 : (!kh) -> !all
    %l1_self_attn_v_proj_w = fr.use @"model.layers.1.self_attn.v_proj.weight" : tensor<8x16xbf16>
    %l1v0 = fr.linear %l1n, %l1_self_attn_v_proj_w : (!x, tensor<8x16xbf16>) -> !kv
    %l1v1 = fr.reshape %l1v0 : (!kv) -> !k4
    %l1v2 = fr.transpose %l1v1 [0, 2, 1, 3] : (!k4) -> !kh
    %l1v = fr.state.append @"layers.1.value", %l1v2 : (!kh) -> !all
    %l1m = fr.attention_mask padding %padding : tensor<?x?xi64, #fr.dims<B, P + S>> {causal = true, window = 4 : i64} : !mask
    %l1a0 = fr.attention %l1q, %l1k, %l1v, %l1m scale 5.000000e-01 : (!qh, !all, !all, !mask) -> !qh
    %l1a1 = fr.transpose %l1a0 [0, 2, 1, 3] : (!qh) -> !q4
    %l1a2 = fr.reshape %l1a1 : (!q4) -> !x
    %l1_self_attn_o_proj_w = fr.use @"model.layers.1.self_attn.o_proj.weight" : tensor<16x16xbf16>
    %l1a3 = fr.linear %l1a2, %l1_self_attn_o_proj_w : (!x, tensor<16x16xbf16>) -> !x
    %l1a = fr.tap "model.layers.1.self_attn", %l1a3 : !x
    %l1r = fr.add %l1, %l1a : (!x, !x) -> !x
    %l1_post_attention_layernorm_w = fr.use @"model.layers.1.post_attention_layernorm.weight" : tensor<16xbf16>
    %l1p = fr.rms_norm %l1r, %l1_post_attention_layernorm_w eps 1.000000e-06 : (!x, tensor<16xbf16>) -> !x
    %l1_mlp_gate_proj_w = fr.use @"model.layers.1.mlp.gate_proj.weight" : tensor<24x16xbf16>
    %l1g0 = fr.linear %l1p, %l1_mlp_gate_proj_w : (!x, tensor<24x16xbf16>) -> !ff
    %l1g = fr.silu %l1g0 : (!ff) -> !ff
    %l1_mlp_up_proj_w = fr.use @"model.layers.1.mlp.up_proj.weight" : tensor<24x16xbf16>
    %l1u = fr.linear %l1p, %l1_mlp_up_proj_w : (!x, tensor<24x16xbf16>) -> !ff
    %l1h = fr.mul %l1g, %l1u : (!ff, !ff) -> !ff
    %l1_mlp_down_proj_w = fr.use @"model.layers.1.mlp.down_proj.weight" : tensor<16x24xbf16>
    %l1d = fr.linear %l1h, %l1_mlp_down_proj_w : (!ff, tensor<16x24xbf16>) -> !x
    %l1f = fr.tap "model.layers.1.mlp", %l1d : !x
    %l1out = fr.add %l1r, %l1f : (!x, !x) -> !x
    %nw = fr.use @"model.norm.weight" : tensor<16xbf16>
    %normed = fr.rms_norm %l1out, %nw eps 1.000000e-06 : (!x, tensor<16xbf16>) -> !x
    %last = fr.tap "model.norm", %normed : !x
    %head = fr.use @"model.embed_tokens.weight" : tensor<32x16xbf16>
    %logits = fr.linear %last, %head : (!x, tensor<32x16xbf16>) -> tensor<?x?x32xf32, #fr.dims<B, S, _>>
    return %logits : tensor<?x?x32xf32, #fr.dims<B, S, _>>
  }
}
