"""The long part of the client's `--help`. Imported on demand."""

MANUAL = """\
the dialect result, on a terminal:
  REGISTER <user> <password>  makes an account   LOGIN <user> <password>
  CREATE <channel>            makes a channel    JOIN <channel>  enters it
  HELP                        lists commands     HELP <command>  explains one

  Commands are written in upper case, or behind a slash: /join <channel>. Other
  text is said in the current channel, which the prompt names: the one that was
  joined last. SAY <channel>, or SAY @<user>, without a message makes another one
  current. With a message it says that there, and the current channel stays.
  LEAVE, USERS, HISTORY and TOPIC alone are for the current channel. To say something
  that begins with the name of a command, use SAY <channel> <message>. QUIT ends
  the client.

  After a lost connection the last login is repeated, for about a minute while the
  server has not noticed the loss; the password for that is kept in memory only.
  Passwords are neither shown nor kept with the lines that the arrow keys bring
  back.

the dialect result, in pipes (when the input or the output is not a terminal):
  Lines go from the input to the server and from the server to the output, at
  once. At the end of the input the client prints what is still answered, and
  ends; with --stay it goes on receiving. The exit status tells whether all went
  well.

with TLS: client.py 6697 --host chat.example --tls [--ca FILE]
  The certificate must bear the name behind --host, and come from an authority of
  the system or one in the file.

several servers, of which one answers: client.py 6666,6667,6668 --host a,b
  6666 alone stands for these three ports. The client goes to the next server when
  a connection is refused or closed, or when a request had no answer for 4 seconds
  and another server answers. It repeats the login, but never a message: what was
  not confirmed is told. On a terminal /again sends it once more; in a pipe the
  exit status is then 1. The first connection is tried for 15 seconds, and in a
  pipe also the next one (--retry SECONDS). With one port the end is at once.

the dialect hello:
  @<user> <message>  sends it            @<user>  sends plain text there from now on
  !who               lists who is here   !quit    ends the client

  SEND <user> <message> and LIST, as in the protocol, mean the same. There are
  no accounts: a name is given with --name, or typed when it is asked for, and is
  free again when its user leaves. It is one word without commas. Where it is
  refused, another one is asked for; where the server is full, the client tries
  again. After a lost connection it logs in with the same name.

  In pipes --name is needed. The input is what would be typed, and the output
  what would be shown, one line each; what the client has to say about a line
  that it cannot send goes to standard error. !quit waits for the answers that
  are due. If there is no login within ten seconds, or its answer does not belong
  to this dialect, the client ends. The exit status tells whether all was sent and
  delivered.

the dialect rooms, at the port of a channel: client.py <port> <username>
  /whisper <user> <message>   says it to one    /send <user> <path>  sends a file
  /list                       lists channels    /switch <channel>    goes to one
  /quit                       leaves

  Any other text is said to everyone in the channel. While it is full you wait;
  what is said then reaches nobody. The client ends when the server closes.

  /send sends a file to a user who is in the channel with this client; the path
  has no blanks in it. On a terminal a file that is offered comes when it is
  accepted, within two minutes, and into the directory received, which is made:

  /accept [user]     takes the oldest offer    /decline [user]     does not

  In pipes it comes without a question, into the current directory. It is stored
  under its last name, but no file is replaced or hidden, and none is called as
  programs expect it (.py, .db, .ini, Makefile and such): it gets another name,
  which is told. Until all of it is there it is called .<name>.part-<letters>; it
  is removed when the rest does not come. On a terminal the progress stands at the
  right of the line being typed. --max-received limits all that comes.

  In pipes the input is what would be typed, and the output what the server says;
  what the client has to say, about files too, goes to standard error.

the dialect mailbox, on a terminal:
  /new <name>        makes an account and enters it; the server tells its ID once
  /login <id>        enters an account          /users [pattern]  lists accounts
  @<user> <message>  sends it; it waits for a user who is away
  @<user>            sends plain text there from now on
  /mail [id]         takes the messages that wait; without an ID, your own
  /delete <id>       deletes an account; the ID is always needed, since this is
                     for good
  /bye               ends the client

  The protocol's lines are always taken: 1|<name>, 0|<id>, 2, 2|<pattern>,
  3|<user>|<message>, 4|<id>, 5|<id>, bye. So to say such a thing write it behind
  @<user>. This dialect need not be named: on a terminal, where neither --dialect
  nor a username is given, a server that begins with its greeting gets it.

  IDs that are typed are hidden and not kept, as passwords are. After a lost
  connection the client logs in again; not when the account was entered elsewhere,
  since two clients would disconnect each other endlessly.

the dialect mailbox, in pipes:
  As the dialect result: the lines are those of the protocol.

on a terminal, in every dialect:
  A line that begins with a slash is a command and never said: /help lists them,
  /msg <user> <message> or @<user> <message> says it to one alone, /quit leaves. A
  second slash in front has the line said, with one of them. What looks like a
  password or an ID (LOGIN, REGISTER or PASSWORD in any case of letters, with and
  without a slash) is never said, shown or kept; with another word in front of it
  a line is said. Several lines that are pasted at once are text, whatever is in
  them, and sent after one question.

  A line that begins with a command without its slash, or with a verb in other
  letters (help, quit, Join), is not said either.

  Tab completes commands, channels, users and paths; in plain text the users who
  spoke last come first. The arrow keys bring back what was typed, Ctrl-R searches
  in it; it lasts, in ~/.local/state/crosstalk/history. Alt and a digit go to the
  channel of that number. A lost connection is dialled again, with pauses from 0.5
  to 15 seconds; not in the dialect rooms, where it looks the same as being
  removed. Ctrl-C clears the line; on an empty one it asks once more and then ends
  the client. Ctrl-D ends it. NO_COLOR and TERM=dumb turn colour off; --plain
  prints one line for each message, as a screen reader needs it.

  The toolbar tells the channel, who is online in it, unread messages of the other
  channels, and the state of the connection. Direct messages and mentions ring the
  bell and set the title.

scripts, in the dialect result:
  --say <channel> <text>, --to <user> <text>, --history <channel> [count] log in
  with --user, do that, and end. --stdin says each line of the input, --json prints
  messages as objects. The password comes from CROSSTALK_PASSWORD, from the
  password-file of the settings file, or is asked for on a terminal. Direct messages
  that wait for the user come with the login, and are printed on standard error.

the settings file, ~/.config/crosstalk/client.toml:
  user, bell, plain; [colours]; and for each server [servers.<name>] with port,
  host, dialect, user, channels, password-file, tls, ca. The name stands in place of the
  port. docs/client.md has an example.

in pipes:
  The client ends when the server closes, or when the reader of its output has
  gone. After the end of its input it goes on in the dialects hello and rooms. A byte order
  mark at the start of the input, or telnet's negotiation, is left out.

everywhere:
  Control characters from the network are taken out (a tab stays), and what is
  not UTF-8 is replaced. A line of more than 8192 bytes, its end included, is not
  sent, although a server can be set to take longer ones. In the pipes of result
  and mailbox everything is passed on.

exit status:
  0    all went well: the input has ended and everything is answered, the server
       has closed after QUIT or bye or in the dialect rooms, or !quit or Ctrl-D was
       typed
  1    wrong arguments, no connection at the start, or a failing output; in the
       pipes of result and mailbox also an answer that says no, or a server that
       closed first; in those of hello and rooms a line that the client could not
       send; in those of rooms a name that was refused, or a file on its way that
       did not arrive; and in those of hello no login, a message that was not
       delivered or has no answer, and any other request that the server refused
       A script: anything that the server has not confirmed.
  130  Ctrl-C; 129 and 143: SIGHUP, SIGTERM
"""
