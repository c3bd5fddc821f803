<?php
/**
 * Plugin Name: application passwords
 *
 * As where somebody uses an application password: WordPress checks them only then.
 */

add_filter('pre_option_using_application_passwords', '__return_true');
