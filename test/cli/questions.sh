#!/usr/bin/env bash
# pe-evaluator convert: each layout as it is published -> the questions of it, and what is refused; pe-evaluator questions: rows and options that are wrong.
. "$(dirname "$0")/../lib.sh"
mkdir -p "$tmp/in"
into() { cat > "$tmp/in/$1"; }
becomes() { # FROM FILE 'LINE'... [-- OPTION...]: the lines are all that comes out
    local from=$1 file=$2 lines=(); shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do lines+=("$1"); shift; done
    shift $(($# > 0))
    pe-evaluator convert --from "$from" --input "$tmp/in/$file" --images pics --output "$tmp/out.jsonl" "$@" > "$tmp/said" 2>&1 || { cat "$tmp/said"; return 1; }
    printf '%s\n' "${lines[@]}" | diff - "$tmp/out.jsonl"
}
into docvqa.json << 'E'
{"dataset_name": "SP-DocVQA", "data": [{"questionId": 49153, "question": "What is the date?", "image": "documents/x_1.png", "docId": 14465, "answers": ["1/8/93", "1/8"]}]}
E
check docvqa becomes docvqa docvqa.json '{"id":"49153","task":"docvqa","image":"pics/documents/x_1.png","question":"What is the date?","answers":["1/8/93","1/8"]}'
into infovqa.json << 'E'
{"data": [{"questionId": 5, "question": "How many?", "image_local_name": "30236.jpeg", "answers": ["7"]}]}
E
check infovqa becomes infovqa infovqa.json '{"id":"5","task":"infovqa","image":"pics/30236.jpeg","question":"How many?","answers":["7"]}'
mkdir "$tmp/in/chartqa"
into chartqa/test_human.json <<< '[{"imgname": "41.png", "query": "How many bars?", "label": "4"}]'
into chartqa/test_augmented.json <<< '[{"imgname": "9.png", "query": "In 2010?", "label": "0.5"}]'
check chartqa becomes chartqa chartqa \
    '{"id":"test_augmented/0","task":"chartqa","image":"pics/9.png","question":"In 2010?","answers":["0.5"],"group":"test_augmented"}' \
    '{"id":"test_human/0","task":"chartqa","image":"pics/41.png","question":"How many bars?","answers":["4"],"group":"test_human"}'
into textvqa.json <<< '{"data": [{"question_id": 3, "image_id": "003a8ae2ef43b901", "question": "what brand?", "answers": ["a", "b"]}]}'
check textvqa becomes textvqa textvqa.json '{"id":"3","task":"textvqa","image":"pics/003a8ae2ef43b901.jpg","question":"what brand?","answers":["a","b"]}'
into asked.json <<< '{"questions": [{"question_id": 42001, "image_id": 42, "question": "Is it red?"}, {"question_id": 7, "image_id": 1, "question": "?"}]}'
into vqa.json <<< '{"data_subtype": "train2014", "annotations": [{"question_id": 42001, "image_id": 42, "answer_type": "yes/no", "question_type": "is it", "answers": [{"answer": "yes", "answer_id": 1}, {"answer": "no", "answer_id": 2}]}]}'
vqa='"image":"pics/COCO_train2014_000000000042.jpg","question":"Is it red?","answers":["yes","no"],"type":"yes/no"}'
vqa=${vqa/\"question\":\"Is it red?\",/}; vqa=${vqa/\"type\":\"yes\/no\"\}/\"type\":\"yes\/no\",\"question\":\"Is it red?\"\}}
check vqav2 becomes vqav2 vqa.json '{"id":"42001","task":"vqav2",'"$vqa" -- --questions "$tmp/in/asked.json"
check okvqa becomes okvqa vqa.json '{"id":"42001","task":"okvqa",'"$vqa" -- --questions "$tmp/in/asked.json"
vqa=(pe-evaluator convert --from vqav2 --input "$tmp/in/vqa.json" --output "$tmp/out.jsonl" --questions)
check questions_without_an_answer_are_said says "1 of its questions, such as 7, have no answer in $tmp/in/vqa.json and are left out" "${vqa[@]}" "$tmp/in/asked.json"
into twice.json <<< '{"questions": [{"question_id": 42001, "question": "Is it red?"}, {"question_id": 42001, "question": "Is it blue?"}]}'
check questions_that_are_there_twice_are_refused says "question 42001 is there twice" "${vqa[@]}" "$tmp/in/twice.json"
check vqa_without_its_questions says "name it with --questions" pe-evaluator convert --from vqav2 --input "$tmp/in/vqa.json" --output "$tmp/none"
into vizwiz.json <<< '[{"image": "VizWiz_val_00000000.jpg", "question": "What is it?", "answers": [{"answer_confidence": "yes", "answer": "cat"}], "answer_type": "other"}]'
check vizwiz becomes vizwiz vizwiz.json '{"id":"VizWiz_val_00000000.jpg","task":"vizwiz","image":"pics/VizWiz_val_00000000.jpg","question":"What is it?","answers":["cat"],"type":"other"}'
mkdir "$tmp/in/ai2d"
into ai2d/0.png.json <<< '{"imageName": "0.png", "questions": {"Which eats?": {"abcLabel": false, "answerTexts": ["B", "fox", "A"], "correctAnswer": 1, "questionId": "0.png-0"}}}'
into ai2d/17.png.json <<< '{"imageName": "17.png", "questions": {"Which is it?": {"abcLabel": true, "answerTexts": ["B", "A"], "correctAnswer": 0, "questionId": "17.png-2"}}}'
ai2d='{"id":"17.png-2","task":"ai2d","image":"pics/17.png","question":"Which is it?","options":["B","A"],"answers":["B"],"right":0}'
check ai2d becomes ai2d ai2d '{"id":"0.png-0","task":"ai2d","image":"pics/0.png","question":"Which eats?","options":["B","fox","A"],"answers":["fox"],"right":1}' "$ai2d"
into test_ids.csv <<< 17
check ai2d_of_a_list_of_pictures becomes ai2d ai2d "$ai2d" -- --only "$tmp/in/test_ids.csv"
into mmmu.jsonl << 'E'
{"id": "validation_Art_Theory_1", "question": "Which of <image 1> and <image 2>?", "options": "['it\\'s a', \"b, c\"]", "answer": "B", "question_type": "multiple-choice", "image_1": "a.png", "image_2": "b.png", "image_3": null}
{"id": "validation_Art_Theory_2", "question": "How many?", "options": "[]", "answer": "['2', 'two']", "question_type": "open", "image_1": "a.png"}
E
check mmmu becomes mmmu mmmu.jsonl \
    '{"id":"validation_Art_Theory_1","task":"mmmu","question":"Which of <image 1> and <image 2>?","options":["it'"'"'s a","b, c"],"answers":["B"],"type":"multiple-choice","group":"Art_Theory","images":["pics/a.png","pics/b.png"]}' \
    '{"id":"validation_Art_Theory_2","task":"mmmu","image":"pics/a.png","question":"How many?","answers":["2","two"],"type":"open","group":"Art_Theory"}'
mkdir "$tmp/in/mvbench"
into mvbench/action_sequence.json <<< '[{"video": "ZS9XR.mp4", "question": "What happened?", "candidates": ["ate", "sat"], "answer": "sat", "start": 11.1, "end": 19.6}]'
check mvbench becomes mvbench mvbench \
    '{"id":"action_sequence/0","task":"mvbench","video":"v/action_sequence/x/ZS9XR.mp4","question":"What happened?","options":["ate","sat"],"answers":["sat"],"group":"action_sequence","start_time":11.1,"end_time":19.6}' \
    -- --images 'v/{group}/x'
into perceptiontest.json <<< '{"video_1": {"mc_question": [{"id": 0, "question": "Moved?", "options": ["yes", "no", "unsure"], "answer_id": 2, "area": "physics"}]}}'
check perceptiontest becomes perceptiontest perceptiontest.json '{"id":"video_1/0","task":"perceptiontest","video":"pics/video_1.mp4","question":"Moved?","options":["yes","no","unsure"],"answers":["unsure"],"right":2,"group":"physics"}'
into pope.json << 'E'
{"question_id": 1, "image": "COCO_val2014_000000310196.jpg", "text": "Is there a snowboard in the image?", "label": "yes"}
{"question_id": 2, "image": "COCO_val2014_000000310196.jpg", "text": "Is there a backpack in the image?", "label": "no"}
E
check pope becomes pope pope.json '{"id":"1","task":"pope","image":"pics/COCO_val2014_000000310196.jpg","question":"Is there a snowboard in the image?","answers":["yes"]}' \
    '{"id":"2","task":"pope","image":"pics/COCO_val2014_000000310196.jpg","question":"Is there a backpack in the image?","answers":["no"]}'
into ocrbench.json <<< '[{"dataset_name": "IIIT5K", "type": "Regular Text Recognition", "id": 0, "question": "what is written in the image?", "answers": "CENTRE", "image_path": "IIIT5K/test/1_1.png"}]'
check ocrbench becomes ocrbench ocrbench.json '{"id":"0","task":"ocrbench","image":"pics/IIIT5K/test/1_1.png","question":"what is written in the image?","answers":["CENTRE"],"type":"Regular Text Recognition"}'
into refcoco.jsonl << 'E'
{"image": "train2014/1.jpg", "sent": "left man", "bbox": [10, 20, 30.5, 40], "width": 640, "height": 480}
{"image": "train2014/2.jpg", "expression": "cup", "bbox": [0, 0, 3, 4]}
E
check refcoco becomes refcoco refcoco.jsonl '{"id":"0","task":"refcoco","image":"pics/train2014/1.jpg","question":"left man","answers":[[10.0,20.0,40.5,60.0]]}' \
    '{"id":"1","task":"refcoco","image":"pics/train2014/2.jpg","question":"cup","answers":[[0.0,0.0,3.0,4.0]]}' -- --bbox xywh
check refcoco_needs_to_know_its_boxes says "say with --bbox" pe-evaluator convert --from refcoco --input "$tmp/in/refcoco.jsonl" --output "$tmp/none"
into captions.json << 'E'
{"images": [{"id": 9, "file_name": "9.jpg"}, {"id": 25, "file_name": "25.jpg"}], "annotations": [{"image_id": 25, "id": 1, "caption": "a dog"}, {"image_id": 9, "id": 2, "caption": "a cat"}, {"image_id": 25, "id": 3, "caption": "dog"}]}
E
check captions_of_coco becomes coco-captions captions.json '{"id":"25","task":"coco","image":"pics/25.jpg","answers":["a dog","dog"]}' '{"id":"9","task":"coco","image":"pics/9.jpg","answers":["a cat"]}'
into bare.json <<< '{"images": [{"id": 9, "file_name": "9.jpg"}, {"id": 25, "file_name": "25.jpg"}], "annotations": [{"image_id": 25, "id": 1, "caption": "a dog"}]}'
check images_without_a_caption_are_said says "1 of its images, such as 9, have no caption and are left out" pe-evaluator convert --from coco-captions --input "$tmp/in/bare.json" --output "$tmp/out.jsonl"
check captions_of_nocaps becomes nocaps captions.json '{"id":"25","task":"nocaps","image":"pics/25.jpg","answers":["a dog","dog"]}' '{"id":"9","task":"nocaps","image":"pics/9.jpg","answers":["a cat"]}'
into karpathy.json << 'E'
{"images": [{"filename": "a.jpg", "filepath": "val2014", "cocoid": 5, "imgid": 0, "split": "test", "sentences": [{"raw": "A dog."}, {"raw": "Dog"}]},
            {"filename": "b.jpg", "filepath": "val2014", "cocoid": 6, "imgid": 1, "split": "val", "sentences": [{"raw": "A cat."}]}], "dataset": "coco"}
E
check captions_of_karpathys_split becomes coco-karpathy karpathy.json '{"id":"5","task":"coco","image":"pics/val2014/a.jpg","answers":["A dog.","Dog"]}'
check captions_of_another_split becomes flickr30k karpathy.json '{"id":"6","task":"flickr30k","image":"pics/val2014/b.jpg","answers":["A cat."]}' -- --split val
into easy.json <<< '[["what is the shape?", "circle", 0], ["is it red?", "no", 1], ["what color?", "teal", 1], ["what color is the shape?", "red", 2]]'
check easy_vqa becomes easy-vqa easy.json '{"id":"0","task":"easyvqa","image":"pics/0.png","question":"what is the shape?","answers":["circle"],"type":"shape"}' \
    '{"id":"1","task":"easyvqa","image":"pics/1.png","question":"is it red?","answers":["no"],"type":"yes_no"}' '{"id":"2","task":"easyvqa","image":"pics/1.png","question":"what color?","answers":["teal"],"type":"colour"}' \
    '{"id":"3","task":"easyvqa","image":"pics/2.png","question":"what color is the shape?","answers":["red"],"type":"colour"}'
check missing_pictures_are_said says "1 of them show what is not there" pe-evaluator convert --from docvqa --input "$tmp/in/docvqa.json" --output "$tmp/out.jsonl"
refused() { # TEXT FROM FILE
    status 1 pe-evaluator convert --from "$2" --input "$tmp/in/$3" --output "$tmp/none" && says "$1" pe-evaluator convert --from "$2" --input "$tmp/in/$3" --output "$tmp/none" && [ ! -e "$tmp/none" ]
}
check parquet_is_refused refused "parquet is not read here: write its rows as JSON" mmmu validation.parquet
check pickle_is_refused refused "a Python pickle is not read here" refcoco 'refs(unc).p'
check another_layout_is_refused refused "is of the layout of DocVQA, not of textvqa" textvqa docvqa.json
into unanswered.json <<< '{"data": [{"questionId": 1, "question": "?", "image": "x.png"}]}'
check questions_without_answers_are_refused refused "has no answers" docvqa unanswered.json
into bytes.jsonl <<< '{"id": "validation_Art_1", "question": "?", "options": "[]", "answer": "2", "question_type": "open", "image_1": {"bytes": "iVBO"}}'
check pictures_inside_rows_are_refused refused "save the pictures as files" mmmu bytes.jsonl
into mixed.jsonl <<< '{"id": "validation_Art_1", "question": "?", "options": "[]", "answer": "2", "question_type": "open", "image_1": "a.png", "image_2": {"bytes": "iVBO"}}'
check second_pictures_inside_rows_are_refused refused "its image_2 is no path" mmmu mixed.jsonl
mkdir "$tmp/in/times" && into times/action.json <<< '[{"video": "a.mp4", "question": "?", "candidates": ["x", "y"], "answer": "x", "start": "11.1"}]'
check times_that_are_none_are_refused refused "its start must be a number of seconds" mvbench times
printf '17\nnowhere\n' > "$tmp/in/listed.csv"
check names_of_no_question_are_said says "1 of its names are of no question, such as nowhere" pe-evaluator convert --from ai2d --input "$tmp/in/ai2d" --only "$tmp/in/listed.csv" --output "$tmp/out.jsonl"
mkdir "$tmp/pics" && : > "$tmp/pics/a.png" && head -1 "$tmp/in/mmmu.jsonl" > "$tmp/in/second.jsonl"
check second_pictures_that_are_missing_are_said says "1 of them show what is not there" pe-evaluator convert --from mmmu --input "$tmp/in/second.jsonl" --images pics --output "$tmp/out.jsonl"

# What is read is not written over, by whatever path.
unharmed() { # FILE OPTION COMMAND...: refused, since OPTION names the file
    local file=$1 option=$2 before; shift 2
    before=$(cat "$file")
    says "would be written over, and --$option names it" status 2 "$@" && [ "$before" = "$(cat "$file")" ]
}
ln -s "$tmp/in/pope.json" "$tmp/in/link.json"
cp "$tmp/in/pope.json" "$tmp/in/own.json" && cp "$tmp/out.jsonl" "$tmp/x.replies.jsonl"
check convert_spares_its_input unharmed "$tmp/in/pope.json" input pe-evaluator convert --from pope --input "$tmp/in/pope.json" --output "$tmp/in/link.json"
check convert_spares_its_questions unharmed "$tmp/in/asked.json" questions pe-evaluator convert --from vqav2 --input "$tmp/in/vqa.json" --questions "$tmp/in/asked.json" --output "$tmp/in/../in/asked.json"
check score_spares_its_truth unharmed "$tmp/in/own.json" truth pe-evaluator score --metric pope --truth "$tmp/in/own.json" --predictions "$tmp/in/link.json" --output "$tmp/in/own.json"
check report_spares_its_results unharmed "$tmp/in/own.json" inputs pe-evaluator report "$tmp/in/link.json" "$tmp/in/own.json" --output "$tmp/in/own.json"
check questions_spare_earlier_replies unharmed "$tmp/x.replies.jsonl" data pe-evaluator questions --data "$tmp/x.replies.jsonl" --task mmmu --model "$tmp/none" --output "$tmp/x.json"

# Rows that are wrong are found before the model is.
wrong() { # TEXT ROW [OPTION...]
    local text=$1; into rows.jsonl <<< "$2"; shift 2
    says "$text" pe-evaluator questions --model "$tmp/no-model" --data "$tmp/in/rows.jsonl" --output "$tmp/results.json" "$@"
}
check row_without_task wrong 'line 1: names no "task", and there is no --task' '{"id": 1, "image": "a.png", "question": "?", "answers": ["a"]}'
check row_of_unknown_task wrong 'unknown task "gqa": one of docvqa, infovqa' '{"id": 1, "image": "a.png", "question": "?", "answers": ["a"], "task": "gqa"}'
check row_that_shows_nothing wrong 'line 1: shows nothing' '{"id": 1, "question": "?", "answers": ["a"]}' --task docvqa
check row_without_question wrong 'has no "question"' '{"id": 1, "image": "a.png", "answers": ["a"]}' --task docvqa
check row_without_answers wrong 'has no "answers"' '{"id": 1, "image": "a.png", "question": "?"}' --task docvqa
check row_without_options wrong 'ai2d needs "options"' '{"id": 1, "image": "a.png", "question": "?", "answers": ["a"]}' --task ai2d
check row_twice wrong 'line 2: question 1 is there twice' $'{"id": 1, "image": "a.png", "question": "?", "answers": ["a"]}\n{"id": "1", "image": "a.png", "question": "?", "answers": ["a"]}' --task docvqa
shown='"id": 1, "image": "a.png", "question": "?"'
check unknown_task_for_all wrong '--task: unknown task "gqa"' "{$shown, \"answers\": [\"a\"], \"task\": \"docvqa\"}" --task gqa
check task_that_is_no_text wrong 'its "task" must be a text' "{$shown, \"answers\": [\"a\"], \"task\": 5}" --task docvqa
check options_in_one_text wrong 'its "options" must be an array of texts' "{$shown, \"answers\": [\"a\"], \"options\": \"['a', 'b']\"}" --task mmmu
check open_question_with_options wrong 'is of type open, and has options' "{$shown, \"answers\": [\"a\"], \"options\": [\"a\"], \"type\": \"open\"}" --task mmmu
check images_that_are_no_paths wrong '"images" must be an array of paths' '{"id": 1, "images": ["a.png", 3], "question": "?", "answers": ["a"]}' --task docvqa
check times_that_are_no_numbers wrong 'its "start_time" must be a number of seconds' '{"id": 1, "video": "a.mp4", "start_time": "1", "question": "?", "answers": ["a"]}' --task docvqa
check empty_option_has_no_likelihood wrong 'option B is empty' "{$shown, \"answers\": [\"a\"], \"options\": [\"a\", \"\"]}" --task ai2d --choose text-likelihood

# So are answers that cannot be scored.
check answers_of_no_text wrong 'its answers must be texts' "{$shown, \"answers\": [null]}" --task docvqa
check type_of_no_text wrong 'its type must be a text' "{$shown, \"answers\": [\"a\"], \"type\": [\"k\"]}" --task docvqa
check answer_that_is_no_option wrong 'answer "c" is not one of its choices' "{$shown, \"answers\": [\"c\"], \"options\": [\"a\", \"b\"]}" --task ai2d
check options_beyond_the_letters_of_its_rule wrong 'has 6 options, where replies to mvbench are read as letters up to E' "{$shown, \"answers\": [\"F\"], \"options\": [\"q\", \"r\", \"s\", \"t\", \"u\", \"v\"]}" --task mvbench
check answers_of_too_few_people wrong 'has 1 answers: VQA accuracy is of ten' "{$shown, \"answers\": [\"a\"]}" --task vqav2
check neither_yes_nor_no wrong 'its answer must be yes or no' "{$shown, \"answers\": [\"maybe\"]}" --task pope
check empty_box wrong 'is empty' "{$shown, \"answers\": [[1, 2, 1, 5]]}" --task refcoco
two=$'{"id": 1, "image": "a.png", "question": "?", "answers": ["a"], "task": "docvqa"}\n{"id": 2, "image": "a.png", "answers": ["a"], "task": "coco"}'
check several_tasks_need_several_names wrong 'put {task} into the name' "$two"
check model_is_named_when_it_is_missing wrong no-model '{"id": 1, "image": "a.png", "question": "?", "answers": ["a"]}' --task docvqa
finish
