"""The status page at `/` of the web port: what is watched, who is banned and why. It changes nothing.

    loop ──turns──▶ activity        what happened within a day, and the last events
    browser ──▶ page ──▶ html, charts, style.css, page.js
                  └────▶ the commands of the control socket: `status` and `bans`

The page is whole without its script, which only loads it again and keeps what was typed.
"""
