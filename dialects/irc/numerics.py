"""The numerics that this server sends, and their texts. `{0}` is the first word of the reply."""

from __future__ import annotations

from typing import NamedTuple


class Numeric(NamedTuple):
    """A numbered reply. `text` is its last word; None where the caller gives all words."""

    code: str
    text: str | None = None


# ---- the welcome ----

WELCOME = Numeric("001")
YOURHOST = Numeric("002")
CREATED = Numeric("003")
MYINFO = Numeric("004")
ISUPPORT = Numeric("005", "are supported by this server")

# ---- the server ----

UMODEIS = Numeric("221")
LUSERCLIENT = Numeric("251")
LUSEROP = Numeric("252", "operator(s) online")
LUSERUNKNOWN = Numeric("253", "unknown connection(s)")
LUSERCHANNELS = Numeric("254", "channels formed")
LUSERME = Numeric("255")
LOCALUSERS = Numeric("265")
GLOBALUSERS = Numeric("266")
ENDOFSTATS = Numeric("219", "End of STATS report")
VERSION = Numeric("351")
ENDOFLINKS = Numeric("365", "End of LINKS list")
INFO = Numeric("371")
ENDOFINFO = Numeric("374", "End of INFO list")
MOTD = Numeric("372")
MOTDSTART = Numeric("375", "- Message of the day -")
ENDOFMOTD = Numeric("376", "End of MOTD command")
TIME = Numeric("391")
HELPSTART = Numeric("704")
HELPTXT = Numeric("705")
ENDOFHELP = Numeric("706", "End of HELP")
HELPNOTFOUND = Numeric("524", "No help available on this topic")

# ---- users ----

AWAY = Numeric("301")
USERHOST = Numeric("302")
ISON = Numeric("303")
UNAWAY = Numeric("305", "You are no longer marked as being away")
NOWAWAY = Numeric("306", "You have been marked as being away")
WHOISUSER = Numeric("311")
WHOISSERVER = Numeric("312")
WHOISOPERATOR = Numeric("313", "is an operator")
WHOWASUSER = Numeric("314")
ENDOFWHO = Numeric("315", "End of WHO list")
WHOISIDLE = Numeric("317", "seconds idle, signon time")
ENDOFWHOIS = Numeric("318", "End of WHOIS list")
WHOISCHANNELS = Numeric("319")
WHOISACCOUNT = Numeric("330", "is logged in as")
WHOISBOT = Numeric("335", "is a bot")
WHOREPLY = Numeric("352")
WHOSPCRPL = Numeric("354")
ENDOFWHOWAS = Numeric("369", "End of WHOWAS")
MONONLINE = Numeric("730")
MONOFFLINE = Numeric("731")
MONLIST = Numeric("732")
ENDOFMONLIST = Numeric("733", "End of MONITOR list")
MONLISTFULL = Numeric("734", "Monitor list is full")

# ---- channels ----

LISTSTART = Numeric("321", "Users  Name")
LIST = Numeric("322")
LISTEND = Numeric("323", "End of LIST")
CHANNELMODEIS = Numeric("324")
CREATIONTIME = Numeric("329")
NOTOPIC = Numeric("331", "No topic is set")
TOPIC = Numeric("332")
TOPICWHOTIME = Numeric("333")
INVITELIST = Numeric("336")
ENDOFINVITELIST = Numeric("337", "End of INVITE list")
INVITING = Numeric("341")
INVEXLIST = Numeric("346")
ENDOFINVEXLIST = Numeric("347", "End of channel invite exception list")
EXCEPTLIST = Numeric("348")
ENDOFEXCEPTLIST = Numeric("349", "End of channel exception list")
NAMREPLY = Numeric("353")
ENDOFNAMES = Numeric("366", "End of NAMES list")
BANLIST = Numeric("367")
ENDOFBANLIST = Numeric("368", "End of channel ban list")

# ---- operators ----

YOUREOPER = Numeric("381", "You are now an operator")

# ---- errors ----

NOSUCHNICK = Numeric("401", "No such nick")
NOSUCHCHANNEL = Numeric("403", "No such channel")
CANNOTSENDTOCHAN = Numeric("404")
TOOMANYCHANNELS = Numeric("405", "You have joined too many channels")
WASNOSUCHNICK = Numeric("406", "There was no such nickname")
TOOMANYTARGETS = Numeric("407", "Too many targets")
INVALIDCAPCMD = Numeric("410", "Invalid CAP command")
NOTEXTTOSEND = Numeric("412", "No text to send")
INPUTTOOLONG = Numeric("417", "Input line was too long")
UNKNOWNCOMMAND = Numeric("421", "Unknown command")
NOMOTD = Numeric("422", "There is no message of the day")
NOADMININFO = Numeric("423", "No administrative info available")
NONICKNAMEGIVEN = Numeric("431", "No nickname given")
ERRONEUSNICKNAME = Numeric("432", "Erroneous nickname")
NICKNAMEINUSE = Numeric("433", "Nickname is already in use")
UNAVAILRESOURCE = Numeric("437", "Nick/channel is temporarily unavailable")
USERNOTINCHANNEL = Numeric("441", "They aren't on that channel")
NOTONCHANNEL = Numeric("442", "You're not on that channel")
USERONCHANNEL = Numeric("443", "is already on channel")
CANTCHANGENICK = Numeric("447", "The nick of an account is its name")
NOTREGISTERED = Numeric("451", "You have not registered")
NEEDMOREPARAMS = Numeric("461", "Not enough parameters")
ALREADYREGISTERED = Numeric("462", "You may not reregister")
PASSWDMISMATCH = Numeric("464", "Password incorrect")
CHANNELISFULL = Numeric("471", "Cannot join channel (+l)")
UNKNOWNMODE = Numeric("472", "is no mode that this server has")
INVITEONLYCHAN = Numeric("473", "Cannot join channel (+i)")
BANNEDFROMCHAN = Numeric("474", "Cannot join channel (+b)")
BADCHANNELKEY = Numeric("475", "Cannot join channel (+k)")
NEEDREGGEDNICK = Numeric("477", "Cannot join channel: log in to an account")
NOPRIVILEGES = Numeric("481", "Permission denied: you are no operator")
CHANOPRIVSNEEDED = Numeric("482", "You're not channel operator")
NOOPERHOST = Numeric("491", "No operators for your host")
UMODEUNKNOWNFLAG = Numeric("501", "Unknown MODE flag")
USERSDONTMATCH = Numeric("502", "Can't change mode for other users")
CANNOTSENDTOUSER = Numeric("531")
INVALIDMODEPARAM = Numeric("696")

# ---- logins ----

LOGGEDIN = Numeric("900")
SASLSUCCESS = Numeric("903", "SASL authentication successful")
SASLFAIL = Numeric("904", "SASL authentication failed")
SASLTOOLONG = Numeric("905", "SASL message too long")
SASLABORTED = Numeric("906", "SASL authentication aborted")
SASLALREADY = Numeric("907", "You have already authenticated using SASL")
SASLMECHS = Numeric("908", "are available SASL mechanisms")
