"""Which channels a user may know of: the list of those that everybody may, and the hidden ones of members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from domain.sorted_names import SortedNames
from domain.state import Account, Channel, Visitor


class ChannelListing:
    """What each user may know of the channels here.

    Args:
        local: the channels here, by name; `Channels` changes it.
        members_only: a channel is shown to its members alone, as one with mode `s` (C69).

    Attributes:
        names: of channels here that are not hidden, and of announced ones of other servers (peering.channels).
    """

    def __init__(self, local: Mapping[str, Channel], *, members_only: bool) -> None:
        self.members_only = members_only
        self.names = SortedNames()
        self._local = local

    def is_hidden(self, channel: Channel) -> bool:
        """Tell whether only members may know of a channel here."""
        return self.members_only or channel.is_secret

    def is_shown(self, channel: Channel, viewer: str) -> bool:
        """Tell whether a user, given by name, may know of a channel here."""
        return not self.is_hidden(channel) or viewer in channel.members

    def shown_to(self, viewer: Account | Visitor | None) -> Sequence[str]:
        """Return the names of all channels that a user may know of, sorted; for None, those that everybody may."""
        if viewer is None:
            return self.names.read()
        hidden = [name for name, channel in viewer.channels.items() if name in self._local and self.is_hidden(channel)]
        return sorted([*self.names.read(), *hidden]) if hidden else self.names.read()

    def announced(self) -> list[str]:
        """Return the names of the channels here that other servers may know of, sorted."""
        return sorted(name for name, channel in self._local.items() if not self.is_hidden(channel))

    def add(self, channel: Channel) -> None:
        """List a new channel, unless it is hidden."""
        if not self.is_hidden(channel):
            self.names.add(channel.name)

    def remove(self, channel: Channel) -> None:
        """List a channel no longer, which is removed or gets another name."""
        if not self.is_hidden(channel):
            self.names.remove(channel.name)

    def update(self, channel: Channel, *, was_hidden: bool) -> None:
        """Add a channel to the list of names, or remove it, if it is no longer hidden or shown as before."""
        if was_hidden != self.is_hidden(channel):
            change = self.names.add if was_hidden else self.names.remove
            change(channel.name)
