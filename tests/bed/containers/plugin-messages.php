<?php
/* A stand-in for WP fail2ban: its messages, by the same syslog() call. Only where its constant is set, as its users set it:
 * define('WP_FAIL2BAN_OPENLOG_OPTIONS', LOG_PID|LOG_NDELAY|LOG_PERROR);
 */
if (!defined('WP_FAIL2BAN_OPENLOG_OPTIONS')) {
    return;
}

function bed_say(int $level, string $message): void
{
    openlog('wordpress(' . ($_SERVER['HTTP_HOST'] ?? '-') . ')', WP_FAIL2BAN_OPENLOG_OPTIONS, LOG_AUTH);
    syslog($level, $message . ' from ' . ($_SERVER['REMOTE_ADDR'] ?? '-'));
}

add_action('wp_login_failed', function ($user) {
    $known = username_exists($user) || email_exists($user);
    bed_say(LOG_NOTICE, ($known ? 'Authentication failure for ' : 'Authentication attempt for unknown user ') . $user);
});
add_action('wp_login', function ($user) {
    bed_say(LOG_INFO, "Accepted password for $user");
});
