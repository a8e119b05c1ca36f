#!/usr/bin/env bash
# pe-evaluator score over texts: from published files to a file of results, two models against each other, and what is refused.
. "$(dirname "$0")/../lib.sh"
for i in $(seq 0 99); do
    echo "{\"id\": $i, \"answers\": [\"a cat $i\"], \"group\": \"g$((i % 2))\"}" >> "$tmp/truth.jsonl"
    [ $((i % 10)) -lt 7 ] && echo "{\"id\": $i, \"reply\": \"a cat $i\"}" >> "$tmp/good.jsonl"
    [ $((i % 10)) -lt 4 ] && echo "{\"id\": $i, \"reply\": \"a cat $i\"}" >> "$tmp/worse.jsonl"
done
score() { pe-evaluator score --truth "$tmp/truth.jsonl" --output "$tmp/results.json" "$@"; }
holds() { # each line is in the results
    local line
    for line in "$@"; do grep -qF -- "$line" "$tmp/results.json" || { echo "not in the results: $line"; cat "$tmp/results.json"; return 1; }; done
}
figures() {
    score --metric anls --predictions "$tmp/good.jsonl" --against "$tmp/worse.jsonl" > /dev/null || return 1
    holds '"task": "anls"' '"anls": 0.7' '"anls": 0.4' '"anls_g0": 0.8' '"mean_per_group": 0.7' '"samples": 100' '"missing": 30' '"difference": 0.29999' '"other_sign": 0' '"stderr": 0.046'
}
check figures_and_difference figures
again() { cp "$tmp/results.json" "$tmp/first.json" && figures && same "$tmp/results.json" "$tmp/first.json"; }
check same_results_again again
check unknown_metric says 'exact|contains|anls|relaxed|vqa|choice|pope|cider|grounding' score --metric bleu --predictions "$tmp/good.jsonl"
echo '{"id": 100, "reply": "a"}' >> "$tmp/worse.jsonl"
check unknown_question says 'worse.jsonl: line 41: 100 is no question of' score --metric anls --predictions "$tmp/good.jsonl" --against "$tmp/worse.jsonl"
check unknown_question_fails status 1 score --metric anls --predictions "$tmp/worse.jsonl"
finish
