"""Request spellings against real servers.

A generator makes requests in every spelling that it knows; Apache with mod_php and nginx with php-fpm, each with the real
WordPress, answer them; a probe plugin says for which of them WordPress checked a password. What our filters make of
the access logs is held against that.
"""
