"""The status page at `/` of the web port: what is watched, who is banned and why; and forms for those with the token.

    loop ──turns──▶ activity        what happened within a day, and the last events
    browser ──▶ application ─┬▶ page ──▶ html, charts, style.css, page.js (response: with which headers)
                             ├▶ doctor ──▶ low_priority        what `wp-sidecar doctor` finds, beside everything else
                             └▶ changes ──▶ forms (is it ours?), sessions (whose is it?)
                                    └──▶ the commands of the control socket

The page is whole without its script, which only loads it again and keeps what was typed.
"""
