"""Small real files of every format that can be ingested, all about the same lighthouses; made here, byte by byte."""

import io
import json
import zipfile

import openpyxl
from pptx import Presentation

FACT = "The Quillon lighthouse was built by Marta Jevons in 1911."
OTHER = "Farrow Point is 22 metres tall and has burnt oil since 1874."


def pdf(*pages: str, encrypted: bool = False) -> bytes:
    """A PDF file with a line of Helvetica on each page; a page without text draws a line instead."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for text in pages:
        escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        drawing = f"BT /F1 12 Tf 72 720 Td ({escaped}) Tj ET" if text else "72 72 m 300 300 l S"
        objects.append(f"<< /Length {len(drawing)} >>\nstream\n{drawing}\nendstream")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R "
            "/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(kids)}] >>"
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    plain = out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()
    return _locked(plain) if encrypted else plain


def _locked(plain: bytes) -> bytes:
    import pypdf

    writer = pypdf.PdfWriter(clone_from=io.BytesIO(plain))
    writer.encrypt("secret", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def zipped(files: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def docx(*paragraphs: tuple[str, str]) -> bytes:
    """A Word document of (style, text) paragraphs."""
    body = "".join(
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>' for style, text in paragraphs
    )
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/></w:style>' for n in (1, 2, 3)
    )
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    content = "http://schemas.openxmlformats.org/package/2006/content-types"
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    return zipped(
        {
            "[Content_Types].xml": f'<?xml version="1.0"?><Types xmlns="{content}"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
            f'ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="{main}.document.main+xml"/>'
            f'<Override PartName="/word/styles.xml" ContentType="{main}.styles+xml"/></Types>',
            "_rels/.rels": f'<?xml version="1.0"?><Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<?xml version="1.0"?><Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" '
            f'Type="{office}/styles" Target="styles.xml"/></Relationships>',
            "word/styles.xml": f'<?xml version="1.0"?><w:styles xmlns:w="{_WORD}">{styles}</w:styles>',
            "word/document.xml": f'<?xml version="1.0"?><w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>',
        }
    )


def pptx(*slides: tuple[str, str]) -> bytes:
    """Slides of a title and a text."""
    presentation = Presentation()
    for title, text in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
    out = io.BytesIO()
    presentation.save(out)
    return out.getvalue()


def xlsx(rows: list[list[object]], sheet: str = "Lighthouses") -> bytes:
    book = openpyxl.Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def epub(*chapters: tuple[str, str], title: str = "Lights of the coast") -> bytes:
    items = "".join(f'<item id="c{n}" href="c{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    pages = {
        f"OEBPS/c{n}.xhtml": f'<html xmlns="http://www.w3.org/1999/xhtml"><body><h2>{heading}</h2><p>{text}</p></body></html>'
        for n, (heading, text) in enumerate(chapters)
    }
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles>'
            "</container>",
            "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f"<metadata><dc:title>{title}</dc:title></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>",
            **pages,
        }
    )


def notebook(*cells: tuple[str, str]) -> bytes:
    made = [{"cell_type": kind, "source": [text], "metadata": {}, "outputs": []} for kind, text in cells]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}).encode()


ROWS = [["Name", "Built", "Builder"], ["Quillon", 1911, "Marta Jevons"], ["Farrow Point", 1874, "Otto Brandt"]]
HTML = f"<html><head><title>Lights</title></head><body><h1>Lights</h1><h2>Quillon</h2><p>{FACT}</p></body></html>"

# What each file's passage about Quillon should be cited as.
SAMPLES: dict[str, tuple[bytes, str]] = {
    "lights.md": (f"# Lights\n\n## Quillon\n\n{FACT}\n\n## Farrow Point\n\n{OTHER}\n".encode(), "Quillon"),
    "lights.txt": (f"{FACT}\n\n{OTHER}\n".encode(), "lights"),
    "lights.rst": (f"Lights\n======\n\nQuillon\n-------\n\n{FACT}\n\nFarrow\n------\n\n{OTHER}\n".encode(), "Quillon"),
    "lights.html": (HTML.encode(), "Quillon"),
    "lights.pdf": (pdf(OTHER, FACT), "page 2"),
    "lights.docx": (docx(("Heading1", "Lights"), ("Heading2", "Quillon"), ("Normal", FACT)), "Quillon"),
    "lights.pptx": (pptx(("Oil lights", OTHER), ("Quillon", FACT)), "slide 2 > Quillon"),
    "lights.xlsx": (xlsx(ROWS), "Lighthouses > rows 2-3"),
    "lights.csv": (("\n".join(",".join(map(str, row)) for row in ROWS) + "\n").encode(), "rows 2-3"),
    "lights.epub": (epub(("Oil lights", OTHER), ("Quillon", FACT)), "Quillon"),
    "lights.ipynb": (notebook(("markdown", f"# Lights\n\n## Quillon\n\n{FACT}"), ("code", "height = 37")), "Quillon"),
    "lights.py": (f'"""Lights."""\n\n# {FACT}\nQUILLON = 1911\n'.encode(), "lines 1-4"),
}
