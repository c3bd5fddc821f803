"""The status page at `/` of the web port: what is watched, who is banned and why; and forms for those with the token.

    loop ──turns──▶ activity        what happened within a day, and the last events
    browser ──▶ page ─┬▶ view ──▶ html, charts, style.css, page.js
                      └▶ changes ──▶ forms (is it ours?), sessions (who is it?)
                             └──▶ the commands of the control socket

The page is whole without its script, which only loads it again and keeps what was typed.
"""
