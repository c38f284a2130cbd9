"""Who made the models, under which licence, and what was changed: CC-BY asks for all three."""

from __future__ import annotations

from .corpus import Item

PACKAGE = "sweethome3d-furniture"
VERSION = "1.8-1"
SHA256 = "3ccb90c63f9525e887a767b9cd5c8b6933b8b6b2973a615a5359ee68a2118668"
LIBRARIES = {
    "BlendSwap-CC-0": "2014 Emmanuel Puybaret, eTeks <info@eteks.com>, and other contributors",
    "BlendSwap-CC-BY": "the Blend Swap contributors named below",
    "KatorLegaz": "2003-2008 Andrew Kator & Jennifer Legaz",
    "Reallusion": "2008-2011 Reallusion <http://www.reallusion.com>",
    "Scopia": "2010-2020 Scopia Visual Interfaces Systems, s.l. <http://www.scopia.es>, and Emmanuel Puybaret, eTeks",
}
LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-3.0-US": "https://creativecommons.org/licenses/by/3.0/us/",
}


def text(items: list[Item]) -> str:
    """ATTRIBUTION.md of a corpus."""
    furniture = [item for item in items if item.kind == "furniture"]
    lines = ["# Attribution", ""]
    if furniture:
        lines += [
            f"Models of furniture are from Debian's package {PACKAGE} {VERSION} (sha256 {SHA256}), which redistributes",
            "libraries of Sweet Home 3D (http://www.sweethome3d.com). They were changed: scaled to a longest side of",
            "1, turned, simplified, their textures averaged to a colour a face, made solid on a grid.",
            "",
            "| library | models | licence | copyright |",
            "|---|---|---|---|",
        ]
        for library, holder in LIBRARIES.items():
            of_it = [item for item in furniture if item.attributes["library"] == library]
            if of_it:
                licence = of_it[0].licence
                lines.append(f"| {library} | {len(of_it)} | [{licence}]({LICENCES[licence]}) | {holder} |")
        lines += ["", "## Models", ""]
        ordered = sorted(furniture, key=lambda item: (item.attributes["library"], item.name, item.attributes["model"]))
        for item in ordered:
            lines.append(f"- {item.name}, {item.creator or 'unnamed'}, {item.licence} ({item.attributes['model']})")
        lines.append("")
    lines += ["Shapes of the grammar were drawn by this recipe: CC0-1.0.", ""]
    return "\n".join(lines)
