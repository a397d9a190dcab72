// Everything the page says, one place per language.

const english = {
  tag: "en",
  other: "中文",
  otherLabel: "切换到中文",
  skip: "Skip to the message box",
  newConversation: "New conversation",
  conversations: "Conversations",
  messages: "Messages",
  commands: "Commands",
  openMenu: "Open the list of conversations",
  closeMenu: "Close the list of conversations",
  greeting: "Pull up a chair.",
  invitation: "Ask anything, or start with one of these.",
  suggestions: [
    ["What is a tertulia?", "Where the name comes from"],
    ["Write a short poem about the first coffee of the day.", "Something to warm up"],
    ["Explain how rainbows form, as if to a curious ten-year-old.", "Something to learn"],
    ["Suggest a simple dinner with rice, eggs and whatever is left over.", "Something to cook"],
  ],
  placeholder: "Write a message…",
  composer: "Message",
  send: "Send",
  stop: "Stop the answer",
  jump: "Latest",
  fine: "Answers are made by a language model and can be wrong.",
  you: "You",
  us: "Tertulia",
  thinking: "Thinking",
  answering: "Tertulia is answering.",
  copy: "Copy",
  copied: "Copied",
  copyFailed: "The browser did not allow copying.",
  retry: "Another answer",
  like: "Good answer",
  dislike: "Bad answer",
  code: "code",
  sending: "Sending…",
  waiting: "Not sent yet, trying again",
  failed: "Not sent",
  again: "Send again",
  cancelled: "Stopped",
  empty: "No conversations yet.",
  today: "Today",
  yesterday: "Yesterday",
  week: "Last seven days",
  earlier: "Earlier",
  untitled: "New conversation",
  offline: "Connection lost. Reconnecting…",
  tooLong: "That message is too long. Please send it in parts.",
  notDone: "That did not go through. Please try again.",
  older: "Loading earlier messages…",
  theme: { auto: "System", light: "Light", dark: "Dark" },
  themeLabel: "Theme: {theme}. Change it.",
};

const chinese = {
  tag: "zh",
  other: "English",
  otherLabel: "Switch to English",
  skip: "跳到输入框",
  newConversation: "新对话",
  conversations: "对话",
  messages: "消息",
  commands: "命令",
  openMenu: "打开对话列表",
  closeMenu: "关闭对话列表",
  greeting: "请坐，聊点什么？",
  invitation: "想问什么都可以，或者从这里开始。",
  suggestions: [
    ["Tertulia 是什么意思？", "名字的由来"],
    ["写一首关于清晨第一杯咖啡的小诗。", "先暖暖身"],
    ["像给好奇的十岁孩子讲一样，解释彩虹是怎么形成的。", "学点东西"],
    ["用米饭、鸡蛋和剩菜，推荐一道简单的晚餐。", "今晚吃什么"],
  ],
  placeholder: "写点什么……",
  composer: "消息",
  send: "发送",
  stop: "停止回答",
  jump: "最新消息",
  fine: "回答由语言模型生成，可能有误。",
  you: "你",
  us: "Tertulia",
  thinking: "思考中",
  answering: "Tertulia 正在回答。",
  copy: "复制",
  copied: "已复制",
  copyFailed: "浏览器不允许复制。",
  retry: "换一个回答",
  like: "回答得好",
  dislike: "回答得不好",
  code: "代码",
  sending: "发送中……",
  waiting: "尚未送达，正在重试",
  failed: "未发送",
  again: "重新发送",
  cancelled: "已停止",
  empty: "还没有对话。",
  today: "今天",
  yesterday: "昨天",
  week: "最近七天",
  earlier: "更早",
  untitled: "新对话",
  offline: "连接已断开，正在重新连接……",
  tooLong: "消息太长了，请分几次发送。",
  notDone: "没有成功，请再试一次。",
  older: "正在加载更早的消息……",
  theme: { auto: "跟随系统", light: "浅色", dark: "深色" },
  themeLabel: "主题：{theme}。点击切换。",
};

const languages = { en: english, zh: chinese };

/** The texts in use; a live binding, so importers always see the present language. */
export let texts = english;

/** The language that the person chose, else the browser's. */
export function preferred(chosen) {
  const tag = chosen || navigator.language || "en";
  return tag.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** Changes the language. */
export function speak(tag) {
  texts = languages[tag] ?? english;
  document.documentElement.lang = tag === "zh" ? "zh-Hans" : "en";
}
