"""What sentences found, as one HTML file that needs no other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup

from lib.data.pictures import PictureError, decode
from lib.display.thumbnail import data_address, reduced

TEMPLATE = "search.html"
MARK = "image-sentence search"  # of the file, which tells ours from a user's


@dataclass(frozen=True)
class Hit:
    """A picture that a sentence found."""

    score: float
    image_id: str
    file: str  # its path or name; empty where that is not known

    @property
    def name(self) -> str:
        """Its file's name, or else its id."""
        return Path(self.file).name or self.image_id

    def picture(self) -> Markup | None:
        """The picture as a data address; None where it cannot be shown."""
        try:
            return Markup(data_address(reduced(decode(Path(self.file)))))
        except PictureError:
            return None


def build_search_page(title: str, found: Sequence[tuple[str, Sequence[Hit]]], command: str) -> str:
    """HTML with the hits of each sentence, best first. ``title`` names the model, ``command`` is
    told as what made it. Pictures that cannot be read are named without one."""
    loader = FileSystemLoader(Path(__file__).parent)
    page = Environment(loader=loader, autoescape=select_autoescape()).get_template(TEMPLATE)
    return page.render(mark=MARK, title=title, found=found, command=command)
