"""Packs that are at hand, and making their pipelines one's own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ossature.kernel.context import Ctx
from ossature.services.sync.domain.config import nearest
from ossature.services.sync.domain.packs import PACK_FILE, Pack, pipelines_of, read_pack
from ossature.services.sync.domain.problems import PackUnknown
from ossature.services.sync.domain.values import PipelineView
from ossature.services.sync.settings import SyncSettings
from ossature.services.sync.usecases import pipelines as declaring

_SHIPPED = Path(__file__).parents[1] / "packs"
_READ = frozenset({".toml", ".sql"})


@dataclass(frozen=True, slots=True)
class PackAtHand:
    """A pack with the texts of its files, by name."""

    pack: Pack
    files: Mapping[str, str]


def packs(settings: SyncSettings) -> list[PackAtHand]:
    """The packs of the product and of the configured folders, by name. Raises: PipelineInvalid."""
    return sorted(_found(settings), key=lambda one: one.pack.name)


async def install(ctx: Ctx, name: str, variables: Mapping[str, str]) -> Sequence[PipelineView]:
    """Save the pipelines of a pack as versions of ours. Raises: PackUnknown, PipelineInvalid, ConnectionUnknown."""
    known = {one.pack.name: one for one in packs(ctx.settings[SyncSettings])}
    if name not in known:
        raise PackUnknown(f"There is no pack {name!r}{nearest(name, known)}.", near=sorted(known))
    texts = pipelines_of(known[name].pack, known[name].files, variables)
    saved = [await declaring.save(ctx, text, file=file) for file, text in texts.items()]
    await ctx.audit("sync.pack_installed", name, pipelines=[one.name for one in saved])
    return saved


def _found(settings: SyncSettings) -> Iterator[PackAtHand]:
    for folder in (_SHIPPED, *map(Path, settings.pack_dirs)):
        for file in sorted(folder.glob(f"*/{PACK_FILE}")):
            texts = {
                each.name: each.read_text("utf-8") for each in sorted(file.parent.iterdir()) if each.suffix in _READ
            }
            yield PackAtHand(read_pack(texts[PACK_FILE], file=f"{file.parent.name}/{PACK_FILE}"), texts)
