// The page: wire, state, view, input. Functions of `state` change it and ask for a drawing; the view draws what it finds.

// ---- texts ----

const TEXTS = {
  lead: "Choose a name and talk with the people who are here.", waysIn: "How to come in",
  wayLogin: "Log in", wayRegister: "New account", wayGuest: "Just look in",
  enterLogin: "Log in", enterRegister: "Create account", enterGuest: "Look in", entering: "One moment …",
  name: "Name", password: "Password", code: "Invitation code", stay: "Stay logged in on this device",
  plain: "This connection is not encrypted: others on the network can read what you send, the password too.",
  noName: "Please choose a name.", noPassword: "Please type a password.", badName: "A name has no blanks, and none of , : @ and |. Some are reserved. Please choose another.",
  nameTaken: "That name is taken. Choose another, or log in if it is yours.", nameHeld: "Your name is still taken.", wrong: "Name or password is wrong.",
  wrongOrNew: "Name or password is wrong. If you are new here, choose “New account”.",
  badCode: "An invitation code is needed, and this is none. It counts once, and not for ever.",
  ended: "Your login has ended. Please log in again.", unreachable: "The server cannot be reached. Please try again.",
  conversations: "Conversations", channels: "Channels", people: "People", members: "Members", add: "Join or make a channel",
  peopleNote: "Messages to people are kept in this tab alone.", find: "Go to a channel or person", findHint: "Channel or person",
  menu: "Settings", theme: "Theme", themeSystem: "As the system", themeLight: "Light", themeDark: "Dark",
  notifyAsk: "Notify me of mentions and direct messages", notifyOn: "Notifications are on", notifyNo: "This browser allows no notifications here",
  keys: "Alt+↑ and Alt+↓ change the channel, Alt+A goes to the next unread one, Ctrl+K finds, Tab completes names, Page Up shows older messages, Esc goes back to the line.",
  logout: "Log out", close: "Close", cancel: "Cancel", back: "Back to the conversations", leave: "Leave this channel",
  leaveAsk: "Leave {0}? You will not be a member any more, on all your devices.", leaveYes: "Leave", hideAsk: "Close the conversation with {0}? Its messages in this tab are forgotten.", hideYes: "Close",
  memberCount: "Members: {0}", messageTo: "Message to {0}", send: "Send", latest: "↓ Newest messages",
  offline: "Not connected. Trying again …", lineOffline: "Not sent: there is no connection. Your text is still here.",
  newLine: "new", gap: "Show the messages between", loading: "Loading …", limit: "Older messages are not kept on this page.", begin: "This is the beginning of what you can see here.",
  welcome: "Choose a channel, or make one.", nothing: "Nothing has been said here yet.",
  sending: "sending", unconfirmed: "Not confirmed: it may not have arrived.", refused: "Not sent: {0}", again: "Send again",
  tooLong: "{0} too many", left: "{0} left", unread: "{0} unread", mentions: "{0} unread, you are mentioned",
  here: "here", awayWord: "away", operator: "operator", voiced: "may speak", you: "you", guest: "guest", loggedInAs: "You are ", isGuest: ", a guest",
  kicked: "{0} was removed by {1}: {2}", renamed: "{0} is now {1}.",
  topicIs: "{0} has set the topic: {1}", topicGone: "{0} has removed the topic.", moded: "{0} has set {1}.", gone: "You are not in {0} any more.", youKicked: "You were removed from {0} by {1}: {2}",
  youAway: "You are away now, until you type /away alone.", youBack: "You are not away any more.",
  make: "Make the channel {0}", write: "Write to {0}", inside: "joined", count: "{0} members", found: "{0} found", invited: "{0} invites you to {1}.",
  unknown: "There is no command {0}. Known: /join /part /msg /me /nick /topic /away /kick /mode /quote", needs: "{0} needs more words.",
  mentionNotice: "{0} in {1}", today: "Today", yesterday: "Yesterday",
};
const say = (key, ...values) => TEXTS[key].replace(/\{(\d)\}/g, (_, n) => isolated(values[n] ?? ""));
const isolated = (words) => (/[^\0-\x7f]/.test(words) ? `\u2068${words}\u2069` : words); // their direction is not the sentence's

// ---- wire ----

const CAPS = ("message-tags server-time echo-message batch labeled-response account-tag account-notify extended-join away-notify" +
  " setname multi-prefix sasl standard-replies cap-notify draft/chathistory draft/read-marker draft/account-registration").split(" ");
// Messages asked for at once: PAGE, MISSED. Lines of a conversation: KEPT in memory, SHOWN at most, AT_END while new ones come, A_FRAME for each drawing.
const PAGE = 50, MISSED = 200, KEPT = 2000, SHOWN = 300, AT_END = 120, A_FRAME = 40, KEPT_DIRECT = 200, WIRE_BYTES = 512;
const RECEIPT_MS = 15000, MARK_MS = 1000, QUIET_MS = 30000, PONG_MS = 15000, MAX_PAUSE_MS = 30000;
const ESCAPES = { ":": ";", s: " ", r: "\r", n: "\n", "\\": "\\" };
const encoder = new TextEncoder();
const bytes = (text) => encoder.encode(text).length;

function parse(line) {
  const message = { tags: {}, prefix: "", verb: "", words: [] };
  let rest = line;
  const take = () => { const [word] = rest.split(" ", 1); rest = rest.slice(word.length).replace(/^ +/, ""); return word; };
  if (rest.startsWith("@")) {
    for (const tag of take().slice(1).split(";")) {
      const at = tag.indexOf("=");
      if (at < 0) message.tags[tag] = "";
      else message.tags[tag.slice(0, at)] = tag.slice(at + 1).replace(/\\(.?)/g, (_, c) => ESCAPES[c] ?? c);
    }
  }
  if (rest.startsWith(":")) message.prefix = take().slice(1);
  message.verb = take().toUpperCase();
  while (rest) message.words.push(rest.startsWith(":") ? [rest.slice(1), (rest = "")][0] : take());
  message.nick = message.prefix.split("!", 1)[0];
  return message;
}

let socket = null, pause = 0, retry = 0, quiet = 0, labels = 0;

function open() {
  clearTimeout(retry);
  if (socket) { socket.onclose = socket.onmessage = null; socket.close(); }
  state.caps = new Map(); state.batches.clear(); state.welcomed = false;
  socket = new WebSocket(`${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/`, ["text.ircv3.net"]);
  socket.onopen = () => { write("CAP LS 302"); listenForSilence(); };
  socket.onmessage = (event) => { listenForSilence(); receive(String(event.data)); };
  socket.onclose = lost;
  quiet = setTimeout(() => socket?.close(), PONG_MS);
}

function write(line) { if (socket?.readyState === WebSocket.OPEN) socket.send(line); }

function listenForSilence() {
  clearTimeout(quiet);
  quiet = setTimeout(() => { write("PING quiet"); quiet = setTimeout(() => { socket?.close(); lost(); }, PONG_MS); }, QUIET_MS);
}

function lost() {
  clearTimeout(quiet);
  if (socket) socket.onclose = socket.onmessage = null;
  socket = null;
  wentOffline();
  if (state.phase !== "in") return;
  retry = setTimeout(open, pause * (0.75 + Math.random() / 2));
  pause = Math.min(Math.max(1000, pause * 2), MAX_PAUSE_MS);
}

// Where a login was there before, only its end leads to the form; all else may be over at the next try.
const staysIn = () => state.known || state.way === "token";
function later(why) { socket?.close(); lost(); state.notice = why; }

function retryNow() { if (state.phase === "in" && !socket) { pause = 0; open(); } }

function hangUp() { clearTimeout(retry); clearTimeout(quiet); if (socket) { socket.onclose = null; socket.close(); } socket = null; }

function receive(line) {
  const message = parse(line);
  const batch = state.batches.get(message.tags.batch);
  if (batch && message.verb !== "BATCH") batch.lines.push(message);
  else handle(message);
}

function handle(message) {
  const numeric = /^[45]\d\d$/.test(message.verb);
  const handler = HANDLERS[message.verb] ?? (numeric ? failed : null);
  if (handler) change(() => handler(message, ...message.words));
  if (/^q/.test(message.tags.label) && /^[23]\d\d$/.test(message.verb)) change(() => note(null, message.words.slice(1).map(shown).join(" ")));
}

const base64 = (text) => btoa(String.fromCharCode(...encoder.encode(text)));

function authenticate(name, secret) {
  const blob = base64(`\0${name}\0${secret}`);
  for (let at = 0; at <= blob.length; at += 400) write(`AUTHENTICATE ${blob.slice(at, at + 400) || "+"}`);
}

const HANDLERS = {
  PING: (_, token) => write(`PONG :${token}`),
  PONG(_, _server, token) { if (token === "joined") for (const each of channels()) if (!each.joined) { drop(each.name); note(null, say("gone", each.name)); } },
  CAP(_, _me, verb, ...rest) {
    if (verb === "LS") {
      for (const cap of rest.at(-1).split(" ")) state.caps.set(cap.split("=")[0], cap.split("=").slice(1).join("="));
      if (rest[0] !== "*") write(`CAP REQ :${CAPS.filter((cap) => state.caps.has(cap)).join(" ")}`);
    } else if (verb === "ACK" && !state.welcomed) introduce();
    else if (verb === "NAK") refuse(say("unreachable"));
  },
  AUTHENTICATE(_, word) { if (word === "+") authenticate(state.name, state.secret); },
  900: (_, _me, _mask, account) => { state.account = account; },
  903: () => write("CAP END"),
  904() {
    if (state.way === "token") { forgetToken(); $("name").value = state.name; }
    refuse(say(state.way === "token" ? "ended" : settings.registration === "closed" ? "wrong" : "wrongOrNew"));
  },
  905: () => refuse(say("wrong")),
  432: (message) => (state.welcomed ? failed(message) : refuse(say("badName"))),
  433: (message) => (state.welcomed ? failed(message) : state.known ? later(say("nameHeld")) : refuse(say("nameTaken"))),
  464: () => refuse(say("wrong")),
  ERROR(_, text) { if (!state.welcomed) { if (staysIn()) later(text); else refuse(text); } },
  REGISTER(_, verb, account) { if (verb === "SUCCESS") { state.account = account; write("CAP END"); } },
  FAIL(message, verb, code, ...rest) {
    if (verb === "REGISTER") notRegistered(code, rest.at(-1));
    else if (verb === "TOKEN") forgetToken();
    else if (verb === "CHATHISTORY") { const buffer = find(rest[1] ?? rest[0]); if (buffer) { buffer.asked = ""; buffer.more = false; } }
    else if (verb !== "MARKREAD") failed(message);
  },
  WARN: (message) => note(find(state.open), message.words.at(-1)),
  NOTE(message, verb, target, count) { if (verb === "UNREAD") setUnread(target, +count); },
  TOKEN(_, verb, token) { if (verb === "NEW") keepToken(token); },
  "001": (_, me) => welcomed(me),
  "005": (_, _me, ...words) => { for (const word of words) { const [name, value] = word.split("="); state.features[name] = value ?? ""; } },
  376: () => entered(), 422: () => entered(),
  JOIN(message, channel, account) { joined(channel, message, account); },
  PART(message, channel, why) {
    const [, name] = /^renamed to (#.+)$/.exec(why) ?? [], each = name && isMe(message.nick) && find(channel);
    if (each) moved(each, name); else parted(channel, message.nick);
  },
  KICK(message, channel, nick, reason) {
    if (isMe(nick)) { const by = shown(message.nick); note(null, say("youKicked", channel, by, reason)); drop(channel); }
    else { parted(channel, nick); note(find(channel), say("kicked", shown(nick), shown(message.nick), reason)); }
  },
  QUIT(message) { for (const buffer of channels()) if (buffer.members.has(fold(message.nick))) parted(buffer.name, message.nick); },
  NICK: (message, nick) => renamed(message.nick, nick),
  AWAY: (message, text) => isAway(message.nick, text !== undefined),
  305: () => { isAway(state.me, false); note(null, say("youBack")); },
  306: () => { isAway(state.me, true); note(null, say("youAway")); },
  ACCOUNT: (message, account) => { if (isMe(message.nick)) state.account = account === "*" ? "" : account; },
  MODE: (message, target, modes, ...words) => moded(message, target, modes, words),
  TOPIC(message, channel, text) {
    const buffer = find(channel); if (!buffer) return;
    buffer.topic = text; note(buffer, text ? say("topicIs", shown(message.nick), text) : say("topicGone", shown(message.nick)));
  },
  331: (_, _me, channel) => { const buffer = find(channel); if (buffer) buffer.topic = ""; },
  332: (_, _me, channel, text) => { const buffer = find(channel); if (buffer) buffer.topic = text; },
  353(_, _me, _kind, channel, names) {
    const buffer = find(channel); if (!buffer) return;
    buffer.naming ??= new Map();
    for (const word of names.split(" ").filter(Boolean)) {
      const [, rank, nick] = /^([@+]*)(.*)$/.exec(word);
      buffer.naming.set(fold(nick), { nick, rank, away: buffer.members.get(fold(nick))?.away ?? false });
    }
  },
  366(_, _me, channel) {
    const buffer = find(channel); if (!buffer) return;
    buffer.members = buffer.naming ?? new Map(); buffer.naming = null; touch("members");
    if (isChannel(buffer.name)) catchUp(buffer);
  },
  352(_, _me, channel, _user, _host, _server, nick, flags) { const member = find(channel)?.members.get(fold(nick)); if (member) { member.away = flags.startsWith("G"); touch("members"); } },
  322(_, _me, channel, count, topic) { state.listing.push({ name: channel, count: +count, topic }); },
  323() { state.list = state.listing; state.listing = []; },
  301: (_, _me, nick, text) => note(find(nick) ?? find(state.open), `${shown(nick)}: ${text}`),
  INVITE: (message, nick, channel) => { if (isMe(nick)) note(null, say("invited", shown(message.nick), channel)); },
  MARKREAD(_, target, mark) { const at = /^timestamp=(.+)$/.exec(mark ?? ""); const buffer = find(target); if (buffer) marked(buffer, at ? Date.parse(at[1]) : 0); },
  PRIVMSG: (message, target, text) => heard(message, target, text),
  NOTICE: (message, target, text) => (message.prefix.includes("!") ? heard(message, target, text) : note(find(target), text)),
  BATCH(message, name, kind, target) {
    if (name.startsWith("+")) state.batches.set(name.slice(1), { kind, target, lines: [], label: message.tags.label, outer: message.tags.batch });
    else endBatch(name.slice(1));
  },
};

function endBatch(name) {
  const batch = state.batches.get(name);
  state.batches.delete(name);
  if (!batch) return;
  if (batch.kind === "chathistory") gotHistory(batch.target, batch.lines);
  else for (const message of batch.lines) handle({ ...message, tags: { ...message.tags, label: batch.label } });
}

function notRegistered(code, why) {
  if (code === "INVALID_EMAIL") settings.registration = "invite"; // maybe since this page was opened
  const known = { ACCOUNT_EXISTS: "nameTaken", BAD_ACCOUNT_NAME: "badName", INVALID_EMAIL: "badCode" }[code];
  refuse(known ? say(known) : why);
}

function introduce() {
  const nick = state.way === "guest" || state.way === "register" ? spelled(state.name) : "guest" + Math.floor(Math.random() * 1e6);
  write(`NICK ${state.account ? spelled(state.account) : nick}`);
  write(`USER page 0 * :${state.name}`);
  if (state.way === "guest") write("CAP END");
  else if (state.way === "register") write(`REGISTER * ${state.code || "*"} :${state.secret}`);
  else write("AUTHENTICATE PLAIN");
}

// Names as IRC writes them: |hex| stands for bytes that a nick cannot have, the last single bar for the @ of a remote user.
function shown(nick) {
  let name = nick.replace(/(\|[0-9a-f]{2}\|)+/g, (run) => {
    try { return decodeURIComponent(run.replace(/\|([0-9a-f]{2})\|/g, "%$1")); } catch { return run; }
  });
  const bar = name.lastIndexOf("|");
  if (bar > 0) name = `${name.slice(0, bar)}@${name.slice(bar + 1)}`;
  return name;
}
const hex = (text) => [...encoder.encode(text)].map((byte) => `|${byte.toString(16).padStart(2, "0")}|`).join("");
const spelled = (name) => name.replace(/[!*?|]/g, hex).replace(/^[#&+%~$]/, hex).replace(/@(?=[^@]*$)/, "|");
const fold = (name) => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

// ---- state ----

const state = {
  phase: "out", way: "login", name: "", secret: "", code: "", account: "", me: "", mask: "", error: "", online: false, welcomed: false, known: false,
  caps: new Map(), features: {}, batches: new Map(), buffers: new Map(), open: "", list: null, listing: [], lines: 0,
  said: { message: null, line: null, place: null }, pane: "list", members: false, view: { start: 0, pinned: true, newFrom: Infinity }, notice: "", dirty: new Set(), asks: null,
};

const stored = {
  get(area, key) { try { return window[area].getItem(key); } catch { return null; } },
  set(area, key, value) { try { if (value === null) window[area].removeItem(key); else window[area].setItem(key, value); } catch { /* a full or forbidden store keeps nothing */ } },
};

let drawing = 0;
function change(act) { act(); touch(); if (document.hidden) drawTitle(); } // a hidden page has no frames
function touch(part) { if (part) state.dirty.add(part); drawing ||= requestAnimationFrame(draw); }

const isChannel = (name) => name.startsWith("#");
const isMe = (nick) => fold(nick) === fold(state.me);
const find = (name) => state.buffers.get(fold(name ?? ""));
const channels = () => [...state.buffers.values()].filter((buffer) => isChannel(buffer.name));
const persons = () => [...state.buffers.values()].filter((buffer) => !isChannel(buffer.name));
const inOrder = () => [...sorted(channels()), ...sorted(persons())];
const { compare } = new Intl.Collator();
const sorted = (buffers) => buffers.map((each) => [shown(each.name), each]).sort(([a], [b]) => compare(a, b)).map(([, each]) => each);
const isNarrow = matchMedia("(max-width: 43.99rem)"), membersLieOver = matchMedia("(max-width: 63.99rem)");

function buffer(name) {
  const key = fold(name);
  if (!state.buffers.has(key)) {
    state.buffers.set(key, {
      key, name, lines: [], ids: new Set(), members: new Map(), topic: "", unread: 0, mentions: 0, mark: 0, sentMark: 0, read: 0, marking: 0, more: isChannel(name), asked: "",
      draft: "", typed: [], at: 0, fresh: true, naming: null,
    });
    if (!isChannel(name)) restoreDirect(state.buffers.get(key));
  }
  return state.buffers.get(key);
}

function drop(name) {
  const key = fold(name);
  state.buffers.delete(key);
  if (state.open === key) show(inOrder()[0]?.key ?? "", state.pane === "list");
}

function enter(way, name, secret, code) {
  Object.assign(state, { phase: "entering", way, name, secret, code, error: "", mask: "", account: way === "token" ? name : "", known: false });
  open();
}

function refuse(why) {
  hangUp();
  Object.assign(state, { phase: "out", error: why, secret: "", known: false });
  state.buffers.clear();
}

function wentOffline() {
  change(() => {
    state.online = false;
    if (state.phase === "entering" && staysIn()) state.phase = "in";
    else if (state.phase === "entering") refuse(say("unreachable"));
    for (const each of state.buffers.values()) for (const line of each.lines) if (line.status === "sending") setStatus(line, "unconfirmed");
  });
}

function welcomed(me) {
  Object.assign(state, { me, welcomed: true });
  if (state.account && state.way !== "token") { write(`TOKEN NEW${state.stay ? " LASTING" : ""}`); }
}

function entered() {
  if (state.online) return;
  pause = 0;
  Object.assign(state, { phase: "in", online: true, notice: "" });
  for (const each of channels()) { each.joined = false; if (!state.account) write(`JOIN ${each.name}`); }
  write("PING joined"); // behind all the JOINs
  if (!state.known) for (const key of directKeys()) buffer(key);
  state.known = true;
  setTimeout(() => change(begun), 300);
}

function begun() {
  if (state.phase !== "in") return;
  if (!find(state.open)) show(inOrder()[0]?.key ?? "", true);
  if (document.activeElement === document.body) { if (state.open) focusLine(); else $("add").focus(); } // that of the form is gone
}

const tokenKey = "crosstalk-token";
function keepToken(token) {
  if (!token?.startsWith("ct1_")) return;
  const value = JSON.stringify({ name: state.account, token, at: Date.now() });
  stored.set(state.stay ? "localStorage" : "sessionStorage", tokenKey, value);
  Object.assign(state, { way: "token", name: state.account, secret: token, code: "" });
  $("password").value = "";
}
function forgetToken() { stored.set("sessionStorage", tokenKey, null); stored.set("localStorage", tokenKey, null); }
function storedToken() {
  for (const area of ["sessionStorage", "localStorage"]) {
    const value = stored.get(area, tokenKey);
    if (value) try { return { ...JSON.parse(value), stay: area === "localStorage" }; } catch { /* not ours */ }
  }
  return null;
}

function logOut() {
  if (state.account) write("TOKEN DROP");
  write("QUIT");
  forgetToken();
  for (const key of directKeys()) stored.set("sessionStorage", directKey(key), null);
  setTimeout(hangUp, 0);
  Object.assign(state, { phase: "out", online: false, secret: "", account: "", error: "", open: "", me: "" });
  state.buffers.clear();
}

// Direct messages are kept in this tab alone, since the server keeps none.
const directKey = (key) => `crosstalk-direct ${fold(state.account || state.name)} ${key}`;
function directKeys() {
  const start = directKey("");
  try { return Object.keys(sessionStorage).filter((key) => key.startsWith(start)).map((key) => key.slice(start.length)); } catch { return []; }
}
function keepDirect(each) {
  const lines = each.lines.filter((line) => line.kind !== "note").slice(-KEPT_DIRECT);
  stored.set("sessionStorage", directKey(each.name), JSON.stringify(lines.map(({ id, time, nick, text, kind, mine }) => ({ id, time, nick, text, kind, mine }))));
}
function restoreDirect(each) {
  try { for (const line of JSON.parse(stored.get("sessionStorage", directKey(each.name)) ?? "[]")) insert(each, newLine(line)); } catch { /* not ours */ }
}

// Lines. `kind`: say, act, notice, note. `status`: "" when confirmed, sending, unconfirmed, refused.
const newLine = (fields) => ({ key: ++state.lines, id: "", kind: "say", to: "", status: "", why: "", mention: false, mine: false, version: 0, ...fields });
function setStatus(line, status, why = "") { Object.assign(line, { status, why, version: line.version + 1 }); }

const number = (id) => +/\d+$/.exec(id)?.[0] || 0;
const comesAfter = (a, b) => (a.status && !b.status ? true : a.time - b.time || (b.id ? number(a.id) - number(b.id) : 0)) > 0;

function insert(each, line) {
  if (line.id) { if (each.ids.has(line.id)) return false; each.ids.add(line.id); }
  let at = each.lines.length;
  while (at && comesAfter(each.lines[at - 1], line)) at--;
  each.lines.splice(at, 0, line);
  return true;
}

function trim(each) {
  const over = each.lines.length - KEPT;
  if (over <= 0) return;
  for (const line of each.lines.splice(0, over)) each.ids.delete(line.id);
  each.more = true;
  if (each.key === state.open) state.view.start = Math.max(0, state.view.start - over);
}

function note(each, text) {
  const place = each ?? find(state.open);
  if (!text) return;
  if (!place) { state.notice = text; return; }
  insert(place, newLine({ kind: "note", time: Math.max(Date.now(), place.lines.at(-1)?.time ?? 0), nick: "", text }));
  trim(place);
}

let myName = { me: "", pattern: null };
function mentionsMe(text) {
  if (myName.me !== state.me) {
    const name = shown(state.me).replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    myName = { me: state.me, pattern: new RegExp(`(^|[^\\p{L}\\p{N}_])${name}($|[^\\p{L}\\p{N}_])`, "iu") };
  }
  return Boolean(state.me) && myName.pattern.test(text);
}

const placeOf = (target) => target.replace(/^[@+]+(?=#)/, "");
function toLine(message, text) {
  const act = /^\x01ACTION ?([^\x01]*)\x01?$/.exec(text);
  if (!act && text.startsWith("\x01")) return null;
  const mine = isMe(message.nick), said = act ? act[1] : text;
  return newLine({
    id: message.tags.msgid ?? "", time: Date.parse(message.tags.time) || Date.now(), nick: message.nick, text: said, mine,
    to: placeOf(message.words[0]) === message.words[0] ? "" : message.words[0], // a part of the channel
    kind: act ? "act" : message.verb === "NOTICE" ? "notice" : "say", mention: !mine && mentionsMe(said),
  });
}

// A long message comes in pieces, of which the first alone has an ID. Where a piece has blanks, one of them was dropped behind it.
const continues = (first, message) => first?.tags.msgid && !message.tags.msgid && first.prefix === message.prefix &&
  first.tags.time === message.tags.time && first.words[0] === message.words[0];
function lengthen(line, { text, mention }) {
  const blank = (line.piece ?? line.text).indexOf(" ", 1) > 0 ? " " : "";
  Object.assign(line, { text: line.text + blank + text, piece: text, mention: line.mention || mention, version: line.version + 1 });
}

function heard(message, target, text) {
  const line = toLine(message, text), { said } = state;
  if (!line) return;
  if (continues(said.message, message)) {
    lengthen(said.line, line);
    if (said.place && !isChannel(said.place.name)) keepDirect(said.place);
    return;
  }
  state.said = { message, line, place: null };
  if (line.mine) state.mask = message.prefix;
  const place = placeOf(target);
  if (!isChannel(place) && !line.mine && !isMe(place)) return;
  const each = buffer(isChannel(place) || line.mine ? place : message.nick);
  state.said.place = each;
  const pending = line.mine && confirm(each, line, (other) => other.label === message.tags.label);
  if (pending) { state.said.line = pending; return; }
  if (!insert(each, line)) return;
  trim(each);
  if (!isChannel(each.name)) keepDirect(each);
  if (!line.mine) noticeNews(each, line);
}

function confirm(each, line, fits) {
  const pending = each.lines.find((other) => other.status && other.mine && fits(other));
  if (!pending) return null;
  if (each.ids.has(line.id)) return line;
  each.lines.splice(each.lines.indexOf(pending), 1);
  Object.assign(pending, { id: line.id, time: line.time, nick: line.nick, text: line.text, kind: line.kind, label: undefined });
  setStatus(pending, "");
  insert(each, pending);
  if (!isChannel(each.name)) keepDirect(each);
  return pending;
}

const isRead = (each) => state.open === each.key && document.visibilityState === "visible" && state.view.pinned && isPaneOpen();
const isPaneOpen = () => state.pane === "talk" || !isNarrow.matches;

function noticeNews(each, line) {
  if (line.time <= each.mark || isRead(each)) return;
  if (!each.unread++ && state.open === each.key) divide(each);
  if (line.mention) each.mentions++;
  if (line.mention || !isChannel(each.name)) notifySystem(each, line);
}

function setUnread(target, count) {
  const each = find(target) ?? (isChannel(target) ? null : buffer(target)); if (!each) return;
  each.unread = Math.max(count, 0);
  if (count > 0) loadFirst(each); // they may mention this user
}

function marked(each, at) {
  each.mark = Math.max(each.mark, at);
  if (!each.lines.length) return;
  const news = each.lines.filter((line) => line.time > each.mark && !line.mine && line.kind !== "note");
  const areAllHere = each.lines[0].time <= each.mark && !each.lines.some((line) => line.gap);
  if (areAllHere || !news.length) each.unread = news.length;
  each.mentions = news.filter((line) => line.mention).length;
}

function readToEnd() {
  const each = find(state.open);
  if (!each || !state.online || !isRead(each)) return;
  const last = each.lines.findLast((line) => line.kind !== "note" && !line.status);
  each.unread = each.mentions = 0;
  if (!last || last.time <= each.mark) return;
  each.read = last.time;
  clearTimeout(each.marking);
  const wait = each.sentMark + MARK_MS - Date.now();
  if (wait > 0) each.marking = setTimeout(() => mark(each), wait);
  else mark(each);
}

function mark(each) {
  if (!state.online || each.read <= each.mark) return;
  Object.assign(each, { mark: each.read, sentMark: Date.now() });
  if (state.account && state.caps.has("draft/read-marker")) write(`MARKREAD ${each.name} timestamp=${new Date(each.read).toISOString()}`);
}

function joined(channel, message, account) {
  if (isMe(message.nick)) {
    state.mask = message.prefix;
    const each = buffer(channel);
    Object.assign(each, { name: channel, joined: true });
    if (state.wanted === each.key) { state.wanted = ""; show(each.key); }
    return;
  }
  const each = find(channel); if (!each) return;
  each.members.set(fold(message.nick), { nick: message.nick, rank: "", away: false, account });
  touch("members");
}

function moved(each, name) { // its JOIN follows
  state.buffers.delete(each.key);
  if (state.open === each.key) state.open = fold(name);
  Object.assign(each, { key: fold(name), name });
  state.buffers.set(each.key, each);
}

function parted(channel, nick) {
  if (isMe(nick)) { drop(channel); return; }
  const each = find(channel); if (!each) return;
  each.members.delete(fold(nick));
  touch("members");
}

function isAway(nick, away) {
  for (const each of channels()) { const member = each.members.get(fold(nick)); if (member) member.away = away; }
  touch("members");
}

function renamed(from, to) {
  for (const each of channels()) {
    const member = each.members.get(fold(from)); if (!member) continue;
    each.members.delete(fold(from)); each.members.set(fold(to), { ...member, nick: to });
    note(each, say("renamed", shown(from), shown(to)));
  }
  if (isMe(from)) Object.assign(state, { me: to, name: state.account ? state.name : shown(to) });
  touch("members");
}

function moded(message, target, modes, words) {
  const each = find(target); if (!each) return;
  let adds = true, rest = [...words];
  for (const letter of modes) {
    if (letter === "+" || letter === "-") { adds = letter === "+"; continue; }
    const word = "ovbeIk".includes(letter) || (letter === "l" && adds) ? rest.shift() : "";
    const member = letter === "o" || letter === "v" ? each.members.get(fold(word ?? "")) : null, sign = letter === "o" ? "@" : "+";
    if (member) member.rank = ["@", "+"].filter((rank) => (rank === sign ? adds : member.rank.includes(rank))).join("");
  }
  touch("members");
  note(each, say("moded", shown(message.nick || message.prefix), [modes, ...words.map(shown)].join(" ")));
}

// History. `asked` names what a buffer waits for, so that nothing is asked twice.
function ask(each, what) { if (each.asked || !state.caps.has("draft/chathistory")) return; each.asked = what; write(`@label=h${++labels} CHATHISTORY ${what}`); }

function catchUp(each) {
  write(`WHO ${each.name}`);
  const last = each.lines.findLast(isStored);
  each.asked = "";
  if (last) ask(each, `LATEST ${each.name} msgid=${last.id} ${MISSED}`);
  else if (each.key === state.open) loadFirst(each);
}
const isStored = (line) => line.id && !line.id.startsWith("d") && !line.to; // history begins or ends at such a line alone
function loadFirst(each) { if (isChannel(each.name) && each.fresh) { each.fresh = false; ask(each, `LATEST ${each.name} * ${PAGE}`); } }
function loadOlder() {
  const each = find(state.open); if (!each?.more || each.asked || each.lines.length >= KEPT) return;
  const first = each.lines.find(isStored);
  if (first) ask(each, `BEFORE ${each.name} msgid=${first.id} ${PAGE}`);
}
function fillGap(line) {
  const each = find(state.open), last = each.lines.slice(0, each.lines.indexOf(line)).findLast(isStored);
  each.asked = ""; each.gap = line;
  if (last) ask(each, `BETWEEN ${each.name} msgid=${last.id} msgid=${line.id} ${MISSED}`);
}

function linesOf(messages) {
  const lines = []; let first = null;
  for (const message of messages) {
    const line = message.verb === "PRIVMSG" || message.verb === "NOTICE" ? toLine(message, message.words[1] ?? "") : null;
    if (!line) continue;
    if (continues(first, message)) lengthen(lines.at(-1), line);
    else { first = message; lines.push(line); }
  }
  return lines;
}

function gotHistory(target, messages) {
  const each = find(target); if (!each) return;
  const asked = each.asked; each.asked = "";
  const lines = linesOf(messages);
  const edge = each.lines.findLast(isStored), oldest = each.lines.find(isStored);
  for (const line of lines) {
    if (line.mine && confirm(each, line, (pending) => pending.status !== "sending" && pending.text === line.text && pending.kind === line.kind && pending.to === line.to && Math.abs(pending.time - line.time) < 3e5)) continue;
    insert(each, line);
  }
  if (/^(BEFORE|LATEST .* \* )/.test(asked)) each.more = lines.length >= PAGE;
  const gapped = asked.startsWith("BETWEEN") ? each.gap : null;
  if (gapped) gapped.gap = false;
  if (/^(LATEST .* msgid|BETWEEN)/.test(asked) && lines.length >= MISSED && edge && oldest) {
    const at = gapped ?? lines[0];
    if (at) { at.gap = true; at.version++; }
  }
  marked(each, each.mark);
  if (each.key === state.open) { state.quietly = true; if (each.unread) divide(each); }
  trim(each);
}

function divide(each) { state.view.newFrom = Math.max(each.read, each.mark); } // where reading stopped

function show(key, keepPane = false) {
  const last = find(state.open);
  if (last) last.draft = lineInput.value;
  state.open = key;
  const each = find(key);
  state.view = { start: Infinity, pinned: true, newFrom: each?.unread ? each.mark : Infinity };
  if (!keepPane) state.pane = each ? "talk" : "list";
  state.quietly = true;
  lineInput.value = each?.draft ?? "";
  if (each) loadFirst(each);
  touch("members");
}

function failed(message) {
  if (message.words[1] === "TOKEN") return;
  if (state.phase === "entering" && !state.welcomed) { refuse(message.words.at(-1)); return; }
  const label = message.tags.label, why = message.words.at(-1);
  for (const each of state.buffers.values()) {
    const line = each.lines.find((other) => label && other.label === label);
    if (line) { setStatus(line, "refused", why); return; }
  }
  const target = message.words.slice(1).find((word) => find(word));
  note(find(target), message.verb === "FAIL" ? why : `${message.words.slice(1, -1).map(shown).join(" ")} ${why}`.trim());
}

function speak(each, text, kind = "say", to = "") {
  const label = `s${++labels}`;
  const line = newLine({ kind, to, nick: state.me, text, mine: true, status: "sending", label, time: Math.max(Date.now(), each.lines.at(-1)?.time ?? 0) });
  insert(each, line);
  trim(each);
  write(`@label=${label} PRIVMSG ${to || each.name} :${kind === "act" ? asAct(text) : text}`);
  setTimeout(() => { if (line.status === "sending") change(() => setStatus(line, "unconfirmed")); }, RECEIPT_MS);
}

function sendAgain(line) {
  const each = find(state.open);
  if (!state.online) { state.notice = say("lineOffline"); return; }
  each.lines.splice(each.lines.indexOf(line), 1);
  speak(each, line.text, line.kind, line.to);
}

const room = (name) => WIRE_BYTES - bytes(`:${state.mask || `${state.me}!${"x".repeat(10)}@${"x".repeat(20)}`} PRIVMSG ${name} :\r\n`);
const asAct = (text) => `\x01ACTION ${text}\x01`;
function bytesLeft(each, text) {
  const [, command, rest] = COMMAND.exec(text) ?? [], name = rest?.split(/\s/, 1)[0];
  if (/^msg$/i.test(command)) return room(isChannel(placeOf(name)) ? name : spelled(name)) - bytes(rest.slice(name.length).trim());
  if (!each || (command && !/^me$/i.test(command))) return Infinity;
  return room(each.name) - Math.max(...(command ? [asAct(rest.trim())] : linesIn(text)).map(bytes));
}
const linesIn = (text) => text.replace(/^\/\//, "/").split("\n").map((line) => line.trimEnd());

// Commands of the line, as IRC clients have them: the least number of words, and what they do.
const COMMANDS = {
  __proto__: null, // there is no command `constructor`
  join: [1, (each, words) => { state.wanted = fold(asChannel(words[0])); if (find(state.wanted)) show(state.wanted); else write(`JOIN ${asChannel(words[0])} ${words[1] ?? ""}`.trim()); }],
  part: [0, (each, words) => { const place = words[0] ? find(asChannel(words[0])) : each; if (place) askToLeave(place); }],
  msg: [2, (each, words, text) => { const to = placeOf(words[0]), other = buffer(isChannel(to) ? to : spelled(to)); speak(other, text.slice(words[0].length).trim(), "say", to === words[0] ? "" : words[0]); show(other.key); }],
  me: [1, (each, words, text) => each && speak(each, text, "act")],
  nick: [1, (each, words) => write(`NICK ${spelled(words[0])}`)],
  topic: [0, (each, words, text) => each && query(text ? `TOPIC ${each.name} :${text}` : `TOPIC ${each.name}`)],
  away: [0, (each, words, text) => write(text ? `AWAY :${text}` : "AWAY")],
  kick: [1, (each, words, text) => each && write(`KICK ${each.name} ${spelled(words[0])} :${text.slice(words[0].length).trim()}`)],
  mode: [0, (each, words, text) => query(text.startsWith("#") || !each ? `MODE ${text}` : `MODE ${each.name} ${text}`.trim())],
  quote: [1, (each, words, text) => query(text)],
};
const query = (line) => write(line.startsWith("@") ? line : `@label=q${++labels} ${line}`); // its answers are shown
const COMMAND = /^\/(?!\/)(\S*)\s*(.*)$/s;
const asChannel = (name) => (name.startsWith("#") ? name : `#${name}`);

function submit(typed) {
  const text = typed.replace(/[\0-\x08\x0b-\x1f\x7f]/g, ""); // a message in \x01 would be for programs
  const each = find(state.open), command = COMMAND.exec(text);
  if (!state.online) { state.notice = say("lineOffline"); return false; }
  if (bytesLeft(each, text) < 0) return false;
  if (command) {
    const [least, act] = COMMANDS[command[1].toLowerCase()] ?? [0, null], rest = command[2].trim(), words = rest.split(/\s+/).filter(Boolean);
    if (!act) note(each, say("unknown", `/${command[1]}`));
    else if (words.length < least) note(each, say("needs", `/${command[1]}`));
    else act(each, words, rest.replace(/\s*\n\s*/g, " "));
    return Boolean(act) && words.length >= least;
  }
  if (!each) return false;
  const lines = linesIn(text).filter(Boolean);
  if (!lines.length) return false;
  for (const line of lines) speak(each, line);
  return true;
}

function askToLeave(each) {
  state.asks = isChannel(each.name)
    ? { text: say("leaveAsk", each.name), yes: say("leaveYes"), act: () => write(`PART ${each.name}`) }
    : { text: say("hideAsk", shown(each.name)), yes: say("hideYes"), act: () => { stored.set("sessionStorage", directKey(each.name), null); drop(each.name); } };
}

// ---- view ----

const $ = (id) => document.getElementById(id);
const logBox = $("log"), lineInput = $("line"), finderWord = $("finder-word");
const make = (tag, className, ...children) => { const node = document.createElement(tag); if (className) node.className = className; node.append(...children); return node; };
const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const setHidden = (node, hidden) => { if (node.hidden !== hidden) node.hidden = hidden; };
const hue = (nick) => `hue${[...fold(nick)].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 104729, 7) % 8}`;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const dayOf = (time) => new Date(time).toDateString();

function dayName(time) {
  if (dayOf(time) === dayOf(Date.now())) return say("today");
  return dayOf(time) === dayOf(Date.now() - 864e5) ? say("yesterday") : calendar.format(time);
}

// Make a list of nodes the children of a parent. Those that are right already are not touched. The focus stays, or close by.
function arrange(parent, wanted) {
  const keep = new Set(wanted), focused = parent.contains(document.activeElement) ? document.activeElement : null;
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  let next = parent.firstElementChild;
  for (const node of wanted) {
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
  }
  for (const [key, item] of parent.rows ?? []) if (!keep.has(item)) parent.rows.delete(key);
  if (focused && focused !== document.activeElement) (focused.isConnected ? focused : parent.tabIndex < 0 ? parent.querySelector("button") ?? lineInput : parent).focus();
}

const LINK = /\bhttps?:\/\/[^\s<>"。、，！？；：）」』】]+/gi;
function withoutStops(url) { // those of the sentence around it, and a bracket that began before it
  let end = url.length, closing = url.split(")").length - url.split("(").length;
  while (/[.,;:!?'’«»“”…]/.test(url[end - 1]) || (url[end - 1] === ")" && closing-- > 0)) end--;
  return url.slice(0, end);
}
function linked(text) {
  const parts = []; let at = 0;
  for (const match of text.matchAll(LINK)) {
    const url = withoutStops(match[0]);
    if (!URL.canParse(url)) continue;
    const link = make("a", "", url);
    Object.assign(link, { href: url, target: "_blank", rel: "noopener noreferrer nofollow", dir: "ltr" });
    parts.push(text.slice(at, match.index), link);
    at = match.index + url.length;
  }
  return [...parts, text.slice(at)];
}

const nodes = new WeakMap();
function lineNode(line) {
  let node = nodes.get(line);
  if (node && node.version === line.version) return node;
  node ??= Object.assign(make("div"), { time: make("time"), status: make("span", "state"), words: "" });
  node.version = line.version;
  node.className = ["line", line.kind, line.status, line.mention && "mention"].filter(Boolean).join(" ");
  const { time, status } = node, words = `${line.kind} ${line.nick} ${line.to} ${line.text}`;
  time.textContent = clock.format(line.time);
  time.dateTime = new Date(line.time).toISOString();
  time.title = new Date(line.time).toLocaleString();
  status.replaceChildren(...statusParts(line));
  if (node.words !== words) node.replaceChildren(...wordParts(line), time, status); // else a screen reader would read it twice
  node.words = words;
  nodes.set(line, node);
  return node;
}

function wordParts(line) {
  const name = make("bdi", `name ${hue(line.nick)}`, shown(line.nick), line.to ? ` → ${line.to}` : ""), isAct = line.kind === "act";
  const text = make("span", "text", ...(isAct ? ["* ", name, " "] : []), ...linked(line.text));
  if (line.kind !== "note") text.dir = "auto"; // a note is in the page's own language
  return line.kind === "note" || isAct ? [text] : [name, text];
}

function statusParts(line) {
  if (!line.status) return [];
  if (line.status === "sending") return [make("span", "hidden", say("sending"))];
  const again = make("button", "", say("again"));
  again.type = "button";
  again.onclick = () => change(() => { sendAgain(line); lineInput.focus(); });
  return [line.status === "refused" ? say("refused", line.why) : say("unconfirmed"), again];
}

const rules = new Map();
function ruleNode(key, kind, ...children) {
  if (!rules.has(key)) rules.set(key, make("div", `rule ${kind}`, ...children));
  return rules.get(key);
}

function logNodes(each) {
  const { view } = state, wanted = [], shownLines = each.lines.slice(view.start, view.start + SHOWN);
  let before = each.lines[view.start - 1], divided = false;
  if (view.start === 0) {
    const text = each.asked ? "loading" : each.lines.length >= KEPT && each.more ? "limit" : each.more ? "" : each.lines.length ? "begin" : "nothing";
    if (text && isChannel(each.name)) wanted.push(ruleNode(`top ${text}`, "", say(text)));
  }
  for (const line of shownLines) {
    const newDay = !before || dayOf(before.time) !== dayOf(line.time);
    if (newDay) wanted.push(ruleNode(`day ${dayOf(line.time)} ${dayOf(Date.now())}`, "", dayName(line.time)));
    if (line.gap) wanted.push(gapNode(line));
    const starts = !divided && line.time > view.newFrom && !line.mine && line.kind !== "note";
    if (starts) { divided = true; wanted.push(ruleNode("new", "new", say("newLine"))); }
    const node = lineNode(line);
    const follows = !newDay && !starts && !line.gap && before?.nick === line.nick && before.to === line.to && before.kind === line.kind && ["say", "notice"].includes(line.kind) && line.time - before.time < 3e5;
    node.classList.toggle("follow", follows);
    wanted.push(node);
    before = line;
  }
  return wanted;
}

function gapNode(line) {
  const button = make("button", "", say("gap"));
  button.onclick = () => { change(() => fillGap(line)); logBox.focus(); };
  return ruleNode(`gap ${line.key}`, "", button);
}

// A frame makes a bounded number of rows, the newest ones; those before them come with the next frames.
function startOfFrame(lines, wanted) {
  let start = lines.length;
  for (let made = 0; start > wanted && made < A_FRAME; start--) if (!nodes.get(lines[start - 1])?.isConnected) made++;
  return start;
}

let drawn = "", drawnWhere = "", drawnLines = 0, drawnTop = 0;
function drawLog(each) {
  const { view } = state, count = each.lines.length;
  if (view.pinned || view.start > count - 1) view.start = Math.max(0, count - AT_END); // few, while lines come fast
  const wanted = view.start, quietly = state.quietly || drawn !== each.key;
  if (view.pinned) view.start = startOfFrame(each.lines, wanted);
  state.quietly = view.start > wanted;
  if (state.quietly) touch();
  if (quietly) logBox.setAttribute("aria-busy", "true");
  const top = logBox.scrollTop, anchor = view.pinned ? null : [...logBox.children].find((child) => child.classList.contains("line") && child.offsetTop - logBox.offsetTop + child.offsetHeight > top);
  const offset = anchor ? anchor.offsetTop - top : 0;
  arrange(logBox, logNodes(each));
  if (view.pinned) logBox.scrollTop = logBox.scrollHeight;
  else if (anchor?.isConnected) logBox.scrollTop = anchor.offsetTop - offset;
  [drawn, drawnLines, drawnTop] = [each.key, count, logBox.scrollTop];
  if (quietly) setTimeout(() => logBox.removeAttribute("aria-busy"), 100);
}

// A list keeps its rows as long as they are in it.
function row(list, key, className, act, words, fill) {
  const now = `${className} ${words.join()}`, rows = list.rows ??= new Map();
  if (!rows.has(key)) { const button = make("button"); button.type = "button"; rows.set(key, make("li", "", button)); }
  const item = rows.get(key), button = item.firstElementChild;
  button.onclick = act;
  if (button.drawn !== now) { item.className = className; button.replaceChildren(...fill()); button.drawn = now; }
  return item;
}

const countOf = (unread) => (unread > 99 ? "99+" : String(unread));

function bufferRow(each) {
  const words = [each.name, each.unread, each.mentions];
  const item = row($(isChannel(each.name) ? "channels" : "people"), each.key, each.unread ? "unread" : "", () => change(() => { show(each.key); focusLine(); }), words, () => {
    const parts = [make("bdi", "", shown(each.name))];
    if (each.unread) {
      const badge = make("span", each.mentions || !isChannel(each.name) ? "badge mention" : "badge", make("span", "", countOf(each.unread)));
      badge.firstChild.ariaHidden = "true";
      badge.append(make("span", "hidden", say(each.mentions ? "mentions" : "unread", each.unread)));
      parts.push(badge);
    }
    return parts;
  });
  const current = String(each.key === state.open);
  if (item.firstElementChild.ariaCurrent !== current) item.firstElementChild.ariaCurrent = current;
  return item;
}

function drawMembers(each) {
  const rank = (member) => (member.rank.includes("@") ? 0 : member.rank.includes("+") ? 1 : 2);
  const all = [...each.members.values()].map((member) => ({ ...member, name: shown(member.nick) }));
  all.sort((a, b) => rank(a) - rank(b) || a.away - b.away || compare(a.name, b.name));
  arrange($("member-list"), all.slice(0, 500).map(({ nick, name, away, rank }) => {
    const post = rank.includes("@") ? "operator" : rank.includes("+") ? "voiced" : "";
    const word = [isMe(nick) && "you", post].filter(Boolean).map((key) => say(key)).join(", ") || (away ? say("awayWord") : "");
    const act = () => change(() => { if (!isMe(nick)) { show(buffer(nick).key); closeMembersIfOver(); focusLine(); } });
    return row($("member-list"), fold(nick), away ? "away" : "here", act, [name, word], () =>
      [make("span", "dot"), make("bdi", "", name), make("span", "hidden", say(away ? "awayWord" : "here")), ...(word ? [make("small", "", word)] : [])]);
  }));
}

function draw() {
  drawing = 0;
  document.documentElement.dataset.phase = state.phase;
  drawLogin();
  if (state.phase === "in") readToEnd();
  drawTitle();
  if (state.phase !== "in") { if (drawn) { arrange(logBox, []); drawn = ""; } return; }
  const each = find(state.open);
  arrange($("channels"), sorted(channels()).map(bufferRow));
  arrange($("people"), sorted(persons()).map(bufferRow));
  setHidden($("people-title"), !persons().length);
  setHidden($("people-note"), !persons().length);
  if (state.pane === "talk" && isNarrow.matches && !history.state) history.pushState("talk", "");
  $("app").dataset.pane = state.pane;
  setText($("network"), [state.online ? "" : say("offline"), state.notice].filter(Boolean).join(" "));
  drawWho();
  drawHeading(each);
  if (each) drawLog(each);
  else { arrange(logBox, [ruleNode("welcome", "", say("welcome"))]); drawn = ""; }
  setHidden($("latest"), !each || state.view.pinned);
  const open = Boolean(each && isChannel(each.name) && state.members);
  setHidden($("members"), !open);
  if (open && (state.dirty.has("members") || drawnWhere !== state.open)) drawMembers(each);
  drawnWhere = open ? state.open : "";
  state.dirty.clear();
  drawCount(each);
  state.focus?.focus();
  state.focus = null;
  if ($("finder").open) drawFinder();
  drawAsking();
}

function drawWho() {
  const key = `${state.me} ${state.account}`;
  if ($("whoami").drawn === key) return;
  $("whoami").drawn = key;
  $("whoami").replaceChildren(say("loggedInAs"), make("bdi", "", shown(state.me)), state.account ? "" : say("isGuest"));
}

function drawHeading(each) {
  setText($("title"), each ? shown(each.name) : say("conversations"));
  setText($("topic"), each?.topic ?? "");
  $("topic").title = each?.topic ?? "";
  const label = each ? say("messageTo", shown(each.name)) : say("welcome");
  setText($("line-label"), label);
  if (lineInput.placeholder !== label) lineInput.placeholder = label;
  const elsewhere = unreadBut(each);
  setText($("elsewhere"), countOf(elsewhere));
  setHidden($("elsewhere"), !elsewhere);
  $("back").ariaLabel = elsewhere ? `${say("back")}, ${say("unread", elsewhere)}` : say("back");
  for (const id of ["show-members", "leave"]) setHidden($(id), !each || (id === "show-members" && !isChannel(each.name)));
  const size = each ? each.members.size : 0;
  setText($("member-count"), String(size));
  $("show-members").ariaLabel = say("memberCount", size);
  $("show-members").ariaExpanded = String(state.members);
}

const unreadBut = (open) => [...state.buffers.values()].reduce((sum, each) => sum + (each === open ? 0 : each.unread), 0);
function drawTitle() {
  const unread = unreadBut(null);
  const title = state.phase === "in" && unread ? `(${unread}) ${pageTitle}` : pageTitle;
  if (document.title !== title) document.title = title;
}

function drawLogin() {
  const isNew = $("login-page").hidden;
  setHidden($("login-page"), state.phase === "in" || (state.phase === "entering" && state.way === "token"));
  setHidden($("app"), state.phase !== "in");
  const way = formWay();
  setText($("enter"), say(state.phase === "entering" ? "entering" : `enter${way[0].toUpperCase()}${way.slice(1)}`));
  $("enter").ariaDisabled = String(state.phase === "entering"); // were it disabled, it would lose the focus
  setText($("login-error"), state.error);
  setHidden($("password-field"), way === "guest");
  setHidden($("stay-field"), way === "guest");
  setHidden($("code-field"), way !== "register" || settings.registration !== "invite");
  setHidden($("plain"), window.isSecureContext || way === "guest");
  if (isNew && !$("login-page").hidden) $("name").select();
  $("password").autocomplete = way === "register" ? "new-password" : "current-password";
}

function drawCount(each) {
  const left = bytesLeft(each, lineInput.value);
  setText($("count"), left > 60 ? "" : left < 0 ? say("tooLong", -left) : say("left", left));
  $("count").classList.toggle("over", left < 0);
  $("count").ariaLive = left < 0 ? "polite" : "off"; // no number at each key
}

function finderChoices() {
  const word = finderWord.value.trim(), bare = fold(word.replace(/^#/, "")), fits = (name) => fold(shown(name)).includes(bare);
  const choices = inOrder().filter((each) => fits(each.name)).map((each) => ({ key: each.key, name: shown(each.name), hint: say("inside"), act: () => show(each.key) }));
  for (const { name, count, topic } of state.list ?? []) {
    if (!find(name) && (fits(name) || (bare && fold(topic ?? "").includes(bare)))) choices.push({ key: name, name, hint: say("count", count), act: () => COMMANDS.join[1](null, [name]) });
  }
  const present = new Map(channels().flatMap((each) => [...each.members.values()]).map((member) => [fold(member.nick), member.nick]));
  for (const [key, nick] of present) if (bare && fits(nick) && !isMe(nick) && !find(nick)) choices.push({ key, name: say("write", shown(nick)), hint: "", act: () => show(buffer(nick).key) });
  const channel = asChannel(word);
  if (bare && !/[\s,]/.test(word) && !find(channel) && !(state.list ?? []).some((each) => fold(each.name) === fold(channel))) choices.push({ key: "make", name: say("make", channel), hint: "", act: () => COMMANDS.join[1](null, [channel]) });
  return choices;
}

function drawFinder() {
  const all = finderChoices(), choices = all.slice(0, 200);
  state.pick = Math.max(0, Math.min(state.pick ?? 0, choices.length - 1));
  arrange($("finder-list"), choices.map((choice, at) => {
    const item = row($("finder-list"), choice.key, "", () => choose(choice), [choice.name, choice.hint], () => [make("bdi", "", choice.name), ...(choice.hint ? [make("small", "", choice.hint)] : [])]);
    const option = item.firstElementChild;
    Object.assign(item, { role: "presentation" });
    Object.assign(option, { id: `choice-${at}`, role: "option", tabIndex: -1, ariaSelected: String(at === state.pick) });
    if (at === state.pick) item.scrollIntoView({ block: "nearest" });
    return item;
  }));
  finderWord.setAttribute("aria-activedescendant", choices.length ? `choice-${state.pick}` : "");
  setText($("finder-note"), say("found", all.length));
}

function drawAsking() {
  const dialog = $("asking");
  if (state.asks && !dialog.open) {
    setText($("asking-text"), state.asks.text); setText($("asking-yes"), state.asks.yes);
    dialog.showModal();
  }
}

function notifySystem(each, line) {
  if (document.visibilityState === "visible" && document.hasFocus()) return;
  if (globalThis.Notification?.permission !== "granted") return;
  const title = isChannel(each.name) ? say("mentionNotice", shown(line.nick), each.name) : shown(line.nick);
  try {
    const notice = new Notification(title, { body: line.text, tag: each.key });
    notice.onclick = () => { window.focus(); change(() => show(each.key)); };
  } catch { /* where a service worker is wanted there is the title and the marks */ }
}

// ---- input ----

const pageTitle = document.title, settings = document.documentElement.dataset;
const formWay = () => document.querySelector("input[name=way]:checked").value;
const focusLine = () => focusOn(matchMedia("(pointer: coarse)").matches ? logBox : lineInput); // no keyboard comes up by itself
function focusOn(node) { node.focus(); state.focus = document.activeElement === node ? null : node; } // it may be in the other pane
const closeMembersIfOver = () => { if (membersLieOver.matches) state.members = false; };
const on = (id, kind, act) => $(id).addEventListener(kind, act);

function choose(choice) { $("finder").close(); change(() => { choice.act(); focusLine(); }); }

function openFinder() {
  change(() => { finderWord.value = ""; Object.assign(state, { pick: 0, list: null, listing: [] }); write("LIST"); });
  $("finder").showModal();
}

function step(by, fits = () => true) {
  const all = inOrder(), at = all.findIndex((each) => each.key === state.open);
  for (let count = 1; count <= all.length; count++) {
    const each = all[(at + by * count + all.length * count) % all.length];
    if (fits(each)) { change(() => { show(each.key); lineInput.focus(); }); return; }
  }
}

let completing = null;
function complete() {
  const each = find(state.open), caret = lineInput.selectionStart, text = lineInput.value;
  if (!completing) {
    const begun = /\S*$/.exec(text.slice(0, caret))[0];
    if (!begun || !each) return false;
    const names = [...each.members.values()].map((member) => shown(member.nick)).filter((name) => fold(name).startsWith(fold(begun)) && name !== shown(state.me)).sort();
    if (!names.length) return false;
    completing = { start: caret - begun.length, names, at: -1, rest: text.slice(caret) };
  }
  completing.at = (completing.at + 1) % completing.names.length;
  const word = completing.names[completing.at] + (completing.start ? " " : ": ");
  lineInput.value = text.slice(0, completing.start) + word + completing.rest;
  lineInput.selectionStart = lineInput.selectionEnd = completing.start + word.length;
  return true;
}

function recall(by) {
  const each = find(state.open); if (!each) return false;
  const at = each.at + by;
  if (at < 0 || at > each.typed.length) return false;
  each.at = at;
  lineInput.value = at ? each.typed[each.typed.length - at] : "";
  return true;
}

lineInput.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Tab" && !event.shiftKey && complete()) event.preventDefault();
  else if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); $("composer").requestSubmit(); }
  else if (event.key === "ArrowUp" && !event.altKey && !lineInput.selectionStart && recall(1)) event.preventDefault();
  else if (event.key === "ArrowDown" && !event.altKey && lineInput.selectionStart === lineInput.value.length && recall(-1)) event.preventDefault();
  else if (event.key === "PageUp" || event.key === "PageDown") { event.preventDefault(); logBox.scrollBy(0, (event.key === "PageUp" ? -0.9 : 0.9) * logBox.clientHeight); }
  if (event.key !== "Tab" && event.key !== "Shift") completing = null;
});
lineInput.addEventListener("input", () => change(() => { state.notice = ""; }));

// At once: a scroll event of before the next drawing must not find the old place.
function pin() { state.view.pinned = true; logBox.scrollTop = logBox.scrollHeight; }

on("composer", "submit", (event) => {
  event.preventDefault();
  const text = lineInput.value, each = find(state.open);
  if (!text.trim()) return;
  change(() => {
    pin();
    if (!submit(text)) return;
    if (each) { each.typed.push(text); each.typed.splice(0, each.typed.length - 100); each.at = 0; each.draft = ""; }
    if (lineInput.value === text) lineInput.value = "";
  });
});

logBox.addEventListener("scroll", () => {
  const each = find(state.open); if (!each || drawn !== each.key) return;
  const { view } = state, below = logBox.scrollHeight - logBox.scrollTop - logBox.clientHeight;
  const pinned = (below < 40 && view.start + SHOWN >= drawnLines) || (view.pinned && logBox.scrollTop >= drawnTop - 1);
  const moved = pinned !== view.pinned;
  view.pinned = pinned;
  if (logBox.scrollTop < 300 && !pinned) {
    if (view.start > 0) change(() => { view.start = Math.max(0, view.start - 100); state.quietly = true; });
    else if (each.more) change(loadOlder);
  } else if (below < 300 && view.start + SHOWN < each.lines.length) change(() => { view.start = Math.min(view.start + 100, each.lines.length - SHOWN); state.quietly = true; });
  if (moved) touch();
}, { passive: true });
new ResizeObserver(() => { if (state.view.pinned) logBox.scrollTop = logBox.scrollHeight; }).observe(logBox);

document.addEventListener("keydown", (event) => {
  if (state.phase !== "in") return;
  const isOpen = document.querySelector("dialog[open]");
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); if (!isOpen) openFinder(); }
  else if (isOpen) return;
  else if (event.altKey && event.key === "ArrowUp") { event.preventDefault(); step(-1); }
  else if (event.altKey && event.key === "ArrowDown") { event.preventDefault(); step(1); }
  else if (event.altKey && event.code === "KeyA") { event.preventDefault(); step(1, (each) => each.unread); }
  else if (event.key === "Escape") { change(() => closeMembersIfOver()); lineInput.focus(); }
});

finderWord.addEventListener("input", () => change(() => { state.pick = 0; }));
finderWord.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (by) { event.preventDefault(); change(() => { state.pick = (state.pick ?? 0) + by; }); }
  else if (event.key === "Escape") { event.preventDefault(); $("finder").close(); } // it would only empty the field
  else if (event.key === "Enter" && finderChoices()[state.pick]) { event.preventDefault(); choose(finderChoices()[state.pick]); }
});

on("login", "submit", (event) => {
  event.preventDefault();
  if (state.phase === "entering") return;
  const way = formWay(), name = $("name").value.trim(), secret = $("password").value;
  const wrong = !name ? "noName" : /[\s,:@|]/.test(name) ? "badName" : way !== "guest" && !secret ? "noPassword" : "";
  if (wrong) { change(() => { state.error = say(wrong); }); $(wrong === "noPassword" ? "password" : "name").focus(); return; }
  state.stay = $("stay").checked;
  change(() => enter(way, name, way === "guest" ? "" : secret, $("code").value.replace(/\s/g, "")));
});
for (const radio of document.querySelectorAll("input[name=way]")) radio.addEventListener("change", () => change(() => { state.error = ""; }));

on("find", "click", openFinder);
on("add", "click", openFinder);
on("menu", "click", () => { drawNotify(); $("settings").showModal(); });
on("back", "click", () => (history.state ? history.back() : change(() => { state.pane = "list"; })));
// The telephone's own way back leads to the list, too.
addEventListener("popstate", () => change(() => { state.pane = history.state && state.open ? "talk" : "list"; if (state.pane === "list") focusOn($("side").querySelector("[aria-current=true]") ?? $("add")); }));
on("leave", "click", () => change(() => askToLeave(find(state.open))));
on("latest", "click", () => change(() => { pin(); focusLine(); }));
on("show-members", "click", () => change(() => { state.members = !state.members; touch("members"); }));
on("hide-members", "click", () => { change(() => { state.members = false; }); $("show-members").focus(); });
on("asking-no", "click", () => $("asking").close());
on("asking-yes", "click", () => { const { act } = state.asks; $("asking").close(); change(act); });
on("asking", "close", () => { state.asks = null; lineInput.focus(); });
on("logout", "click", () => { $("settings").close(); change(logOut); $("password").value = ""; });
for (const button of document.querySelectorAll(".closes")) button.addEventListener("click", () => button.closest("dialog").close());
for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

function drawNotify() {
  const can = globalThis.Notification && window.isSecureContext, allowed = can && Notification.permission;
  setText($("notify"), say(allowed === "granted" ? "notifyOn" : allowed === "default" ? "notifyAsk" : "notifyNo"));
  $("notify").disabled = allowed !== "default";
}
on("notify", "click", () => Notification.requestPermission().then(drawNotify));

function useTheme(theme) {
  if (theme === "system") delete settings.theme; else settings.theme = theme;
  stored.set("localStorage", "crosstalk-theme", theme);
}
for (const radio of document.querySelectorAll("input[name=theme]")) radio.addEventListener("change", () => useTheme(radio.value));

addEventListener("online", retryNow);
addEventListener("offline", () => { if (socket && state.phase === "in") { socket.close(); lost(); } });
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") { retryNow(); touch(); } });
addEventListener("focus", () => touch());
addEventListener("pagehide", () => { for (const each of state.buffers.values()) mark(each); });
membersLieOver.addEventListener("change", () => change(closeMembersIfOver));

function begin() {
  history.replaceState(null, "");
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  for (const node of document.querySelectorAll("[data-label]")) { node.ariaLabel = say(node.dataset.label); if (node.tagName === "BUTTON") node.title = node.ariaLabel; }
  const theme = stored.get("localStorage", "crosstalk-theme") ?? "system", choice = document.querySelector(`input[name=theme][value="${["light", "dark"].includes(theme) ? theme : "system"}"]`);
  choice.checked = true;
  useTheme(choice.value);
  setHidden($("way-guest"), settings.guests === "off");
  setHidden($("way-register"), settings.registration === "closed");
  state.members = matchMedia("(min-width: 75rem)").matches;
  const token = storedToken();
  finderWord.placeholder = say("findHint");
  if (token) { state.stay = token.stay; change(() => enter("token", token.name, token.token, "")); }
  else draw();
}
begin();
