//! What we say, in Chinese.

use std::time::Duration;

use super::Text;
use crate::commands;

pub(super) fn say(text: &Text<'_>) -> String {
    match text {
        Text::Welcome => "你好！直接给我发消息，我就会回答。发送 /help 查看其他功能。".into(),
        Text::Help { admin } => {
            let mut lines = vec![
                "直接发消息，我就会回答。此外还可以：".to_owned(),
                String::new(),
            ];
            lines.extend(
                commands::names(*admin).map(|name| format!("- /{name} — {}", describe(name))),
            );
            lines.join("\n")
        }
        Text::UnknownCommand { name } => format!("我不认识 /{name}。发送 /help 查看可用的命令。"),
        Text::AdminsOnly => "只有管理员可以这样做。".into(),
        Text::Fresh => "重新开始：之前说过的内容我不再参考。".into(),
        Text::Stopped => "已停止。".into(),
        Text::NothingToStop => "现在没有正在生成的回答。".into(),
        Text::NothingToRetry => "没有可以重新回答的内容。".into(),
        Text::Undone => "好的：你的上一条消息和我的回答不再计入对话。".into(),
        Text::SummaryUndone => "好的：在容得下的范围内，我会重新查看原来的消息。".into(),
        Text::NothingToUndo => "没有可以撤回的内容。".into(),
        Text::Models { names, current } => choice("模型", "/model 名称", names, current),
        Text::ModelSet { name } => format!("从现在起，这里优先由 `{name}` 回答。"),
        Text::UnknownModel { name, names } => {
            format!("这里没有模型 `{name}`。可选：{}。", list(names))
        }
        Text::Personas { names, current } => choice("角色", "/persona 名称", names, current),
        Text::PersonaSet { name } => format!("从现在起，我在这里是 `{name}`。"),
        Text::UnknownPersona { name, names } => {
            format!("没有角色 `{name}`。可选：{}。", list(names))
        }
        Text::Usage {
            messages,
            tokens,
            money,
            models,
        } => {
            let mut text = format!("过去 24 小时：{messages} 条消息，{tokens} 个词元");
            if money.0 > 0 {
                text.push_str(&format!("，费用 {money}"));
            }
            text.push('。');
            for (model, tokens) in *models {
                text.push_str(&format!("\n- `{model}`：{tokens} 个词元"));
            }
            text
        }
        Text::Export { json } => format!("关于你的全部存储内容：\n\n```json\n{json}\n```"),
        Text::ExportTooLarge { person } => {
            format!(
                "内容太多，无法在聊天中显示。请让管理员运行 `tertulia person export {person}`。"
            )
        }
        Text::OnlyInPrivate => "这是个人信息：请在私聊中问我。".into(),
        Text::ConfirmForget => "这将删除关于你的一切：我们的私聊、你在群里说过的话、用量和反馈。\
            此操作无法撤销。如要继续，请发送 `/forget_me yes`。"
            .into(),
        Text::Forgotten => "关于你的一切都已删除。".into(),
        Text::Status { lines } => (*lines).to_owned(),
        Text::Reloaded {
            version,
            restart: [],
        } => {
            format!("新配置已生效（版本 {version}）。")
        }
        Text::Reloaded { version, restart } => {
            format!(
                "新配置已生效（版本 {version}）。以下项目需重启后生效：{}。",
                list(restart)
            )
        }
        Text::ReloadRefused { problems } => {
            format!("配置有问题，继续使用旧配置：\n\n```\n{problems}\n```")
        }
        Text::NotAllowed => "抱歉，你没有使用这个机器人的权限。".into(),
        Text::Overloaded => "这里等待处理的消息太多，请稍后重新发送。".into(),
        Text::TooManyMessages { amount, per } => {
            format!("{}不能超过 {amount} 条消息，请稍等片刻再发。", within(*per))
        }
        Text::AllowanceSpent { per } => format!("{}的额度已用完，请稍后再来。", within(*per)),
        Text::CannotRead => "我还看不懂这类消息，请用文字告诉我。".into(),
        Text::AttachmentsUnread => "我还看不懂附件，以下只回答文字部分。".into(),
        Text::TooLong => "这段内容太长了，请发短一些的。".into(),
        Text::NoAnswer => "暂时没有得到回答，请重试：/retry".into(),
        Text::Broken => "我这边出了点问题，请重试：/retry".into(),
        Text::AnsweredBy { name } => format!("由 {name} 回答"),
    }
}

pub(super) fn describe(command: &str) -> &'static str {
    match command {
        "start" => "打个招呼",
        "help" => "我能做什么",
        "new" => "重新开始",
        "stop" => "停止回答",
        "retry" => "重新回答",
        "undo" => "撤回上一轮对话；撤回摘要：/undo summary",
        "model" => "查看或选择模型",
        "persona" => "查看或选择角色",
        "usage" => "你的用量",
        "export" => "关于你的全部存储内容",
        "forget_me" => "删除关于你的一切",
        "status" => "运行状态（管理员）",
        "reload" => "应用修改后的配置（管理员）",
        _ => "",
    }
}

fn choice(title: &str, how: &str, names: &[String], current: &str) -> String {
    let mut text = format!("{title}（用 {how} 选择）：");
    for name in names {
        let mark = if name == current { " ✓" } else { "" };
        text.push_str(&format!("\n- `{name}`{mark}"));
    }
    text
}

fn list(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join("、")
}

fn within(per: Duration) -> String {
    match per.as_secs() {
        60 => "每分钟".into(),
        3600 => "每小时".into(),
        86_400 => "每天".into(),
        seconds => format!("{seconds} 秒内"),
    }
}
