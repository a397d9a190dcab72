//! Well-known templates, what they must render, and templates that mean harm.

use tertulia_inference::PromptMessage;

use super::*;
use crate::tokenizer::tests::smollm2;

const LLAMA3: &str = "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}";

const LLAMA32: &str = r#"{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{#- This block extracts the system message, so we can slot it into the right place. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\n" }}
{%- endif %}
{{- "Cutting Knowledge Date: December 2023\n" }}
{{- "Today Date: " + date_string + "\n\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"#;

const QWEN25: &str = r#"{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"#;

const QWEN3: &str = r#"{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}"#;

const GEMMA3: &str = r#"{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
"#;

const GEMMA2: &str = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}";

const PHI3: &str = "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}";

/// The first version, which says nothing and drops the system prompt.
const PHI3_FIRST: &str = "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') %}{{'<|user|>' + '\n' + message['content'] + '<|end|>' + '\n' + '<|assistant|>' + '\n'}}{% elif (message['role'] == 'assistant') %}{{message['content'] + '<|end|>' + '\n'}}{% endif %}{% endfor %}";

const MISTRAL: &str = "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}";

/// Each with what it begins a prompt and ends a text with, and what it adds for an answer.
const ALL: [(&str, &str, &str, &str); 9] = [
    (
        LLAMA3,
        "<B>",
        "",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    (
        LLAMA32,
        "<B>",
        "",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    (QWEN25, "", "", "<|im_start|>assistant\n"),
    (
        QWEN3,
        "",
        "",
        "<|im_start|>assistant\n<think>\n\n</think>\n\n",
    ),
    (GEMMA3, "<bos>", "", "<start_of_turn>model\n"),
    (GEMMA2, "<bos>", "", "<start_of_turn>model\n"),
    (PHI3, "", "</s>", "<|assistant|>\n"),
    (PHI3_FIRST, "<s>", "", ""),
    (MISTRAL, "<s>", "</s>", ""),
];

fn prompt(system: &str, messages: &[(Role, &str)]) -> Prompt {
    Prompt {
        system: system.into(),
        messages: messages
            .iter()
            .map(|&(role, text)| PromptMessage {
                role,
                text: text.into(),
            })
            .collect(),
    }
}

fn talk() -> Prompt {
    prompt(
        "Be kind.",
        &[
            (Role::User, "Hi"),
            (Role::Assistant, "Hello!"),
            (Role::User, "Who?"),
        ],
    )
}

fn render(source: &str, prompt: &Prompt) -> String {
    ChatTemplate::new(source, "<B>", "<E>")
        .unwrap()
        .render(prompt)
        .unwrap()
}

#[test]
fn smollm2_is_rendered_as_in_its_reference_prompts() {
    let template = ChatTemplate::from_gguf(&smollm2(), "<|im_start|>", "<|im_end|>")
        .unwrap()
        .unwrap();
    assert!(template.stops().is_empty());
    assert_eq!(
        template
            .render(&prompt(
                "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
                &[(Role::User, "What is the capital of France?")],
            ))
            .unwrap(),
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n\
         <|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
    );
}

#[test]
fn well_known_templates_render_as_they_should() {
    let cases = [
        (
            LLAMA3,
            "<B><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (
            LLAMA32,
            "<B><|start_header_id|>system<|end_header_id|>\n\n\
             Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\nBe kind.<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (
            QWEN25,
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n\
             <|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n\
             <|im_start|>assistant\n",
        ),
        (
            QWEN3,
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n\
             <|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n\
             <|im_start|>assistant\n<think>\n\n</think>\n\n",
        ),
        (
            GEMMA3,
            "<B><start_of_turn>user\nBe kind.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello!<end_of_turn>\n\
             <start_of_turn>user\nWho?<end_of_turn>\n<start_of_turn>model\n",
        ),
        (
            GEMMA2,
            "<B><start_of_turn>user\nBe kind.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello!<end_of_turn>\n\
             <start_of_turn>user\nWho?<end_of_turn>\n<start_of_turn>model\n",
        ),
        (
            PHI3,
            "<|system|>\nBe kind.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello!<|end|>\n\
             <|user|>\nWho?<|end|>\n<|assistant|>\n",
        ),
        (
            PHI3_FIRST,
            "<B><|user|>\nBe kind.\n\nHi<|end|>\n<|assistant|>\nHello!<|end|>\n\
             <|user|>\nWho?<|end|>\n<|assistant|>\n",
        ),
        (
            MISTRAL,
            "<B>[INST] Be kind.\n\nHi [/INST]Hello!<E>[INST] Who? [/INST]",
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(render(source, &talk()), expected);
    }
}

#[test]
fn templates_that_insist_on_alternation_get_it() {
    let twice = prompt(
        "S",
        &[
            (Role::User, "one"),
            (Role::User, "two"),
            (Role::Assistant, "a"),
            (Role::User, "three"),
        ],
    );
    assert_eq!(
        render(MISTRAL, &twice),
        "<B>[INST] S\n\none\n\ntwo [/INST]a<E>[INST] three [/INST]"
    );
    let cut = prompt("S", &[(Role::Assistant, "a"), (Role::User, "b")]);
    assert_eq!(
        render(MISTRAL, &cut),
        "<B>[INST] S [/INST]a<E>[INST] b [/INST]"
    );
    let cut = prompt("", &[(Role::Assistant, "a"), (Role::User, "b")]);
    assert_eq!(
        render(GEMMA3, &cut),
        "<B><start_of_turn>user\n<end_of_turn>\n<start_of_turn>model\na<end_of_turn>\n\
         <start_of_turn>user\nb<end_of_turn>\n<start_of_turn>model\n",
    );
    // A template that takes them is given them as they are.
    assert_eq!(
        render(
            PHI3,
            &prompt("", &[(Role::User, "one"), (Role::User, "two")])
        ),
        "<|user|>\none<|end|>\n<|user|>\ntwo<|end|>\n<|assistant|>\n",
    );
}

#[test]
fn a_longer_conversation_begins_with_the_shorter_one() {
    use Role::{Assistant, User};
    let all = [
        (User, "a"),
        (Assistant, "b "),
        (User, " c"),
        (User, "d"),
        (Assistant, "e\n"),
        (User, "f"),
        (Assistant, "g"),
        (User, "h"),
    ];
    let gguf = smollm2();
    let mut templates: Vec<(ChatTemplate, &str)> = ALL
        .iter()
        .map(|&(source, bos, eos, start)| (ChatTemplate::new(source, bos, eos).unwrap(), start))
        .collect();
    templates.push((
        ChatTemplate::from_gguf(&gguf, "", "").unwrap().unwrap(),
        "<|im_start|>assistant\n",
    ));
    templates.push((ChatTemplate::transcript(), "Assistant:"));
    for system in ["", "Be kind."] {
        for (template, start) in &templates {
            for turn in [1, 4, 6] {
                let shorter = template.render(&prompt(system, &all[..turn])).unwrap();
                let longer = template.render(&prompt(system, &all)).unwrap();
                let kept = shorter.strip_suffix(start).unwrap();
                assert!(
                    longer.starts_with(kept),
                    "{longer:?} does not begin with {kept:?}"
                );
            }
        }
    }
}

#[test]
fn the_date_is_the_callers() {
    let template = ChatTemplate::new(LLAMA32, "", "").unwrap();
    let date = NaiveDate::from_ymd_opt(2026, 11, 3);
    assert!(
        template
            .render_on(&talk(), date)
            .unwrap()
            .contains("Today Date: 03 Nov 2026\n")
    );
    let odd = LLAMA32.replace("%d %b %Y", "%Q");
    assert!(
        ChatTemplate::new(&odd, "", "")
            .unwrap()
            .render_on(&talk(), date)
            .is_err()
    );
}

#[test]
fn without_a_template_a_transcript_is_written() {
    let template = ChatTemplate::transcript();
    assert_eq!(
        template.render(&talk()).unwrap(),
        "Be kind.\n\nUser: Hi\nAssistant: Hello!\nUser: Who?\nAssistant:",
    );
    assert_eq!(template.stops(), ["\nUser:", "\nAssistant:"]);
}

#[test]
fn marks_for_training_are_left_out() {
    let source =
        "{% for m in messages %}{%- generation -%}{{ m.content }}{% endgeneration %}{% endfor %}";
    assert_eq!(render(source, &prompt("", &[(Role::User, "x")])), "x");
}

type Verdict = fn(&TemplateError) -> bool;

#[test]
fn templates_that_mean_harm_are_stopped() {
    let nested = "{% for a in range(9999) %}".repeat(5) + "x" + &"{% endfor %}".repeat(5);
    let doubling = "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
    let cases: [(&str, Verdict); 9] = [
        (&nested, |error| matches!(error, TemplateError::Excessive)),
        (doubling, |error| matches!(error, TemplateError::Excessive)),
        ("{{ 'x' * 999999999 }}", |error| {
            matches!(error, TemplateError::Excessive | TemplateError::Refused(_))
        }),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", |error| {
            matches!(error, TemplateError::Refused(_))
        }),
        ("{% if %}", |error| {
            matches!(error, TemplateError::Broken(_))
        }),
        (&"(".repeat(100_000), |error| {
            matches!(error, TemplateError::Refused(_))
        }),
        (&("{{".to_owned() + &"(".repeat(100_000)), |error| {
            matches!(error, TemplateError::Broken(_))
        }),
        (&" ".repeat(1 << 20), |error| {
            matches!(error, TemplateError::Excessive)
        }),
        ("{% include 'other' %}", |error| {
            matches!(error, TemplateError::Refused(_))
        }),
    ];
    for (source, expected) in cases {
        let error = ChatTemplate::new(source, "", "").unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
}

#[test]
fn a_template_that_is_no_text_is_refused_and_an_empty_one_is_none() {
    let mut gguf = smollm2();
    gguf.metadata.insert(KEY.into(), Value::U8(1));
    assert!(ChatTemplate::from_gguf(&gguf, "", "").is_err());
    gguf.metadata
        .insert(KEY.into(), Value::String(" \n".into()));
    assert!(ChatTemplate::from_gguf(&gguf, "", "").unwrap().is_none());
    gguf.metadata.insert(KEY.into(), Value::String("{{".into()));
    assert!(ChatTemplate::from_gguf(&gguf, "", "").is_err());
}
