"""The dialect `irc`, for WeeChat, irssi, HexChat, Halloy and bots: IRC with the capabilities of IRCv3."""
