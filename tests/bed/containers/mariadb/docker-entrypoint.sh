#!/bin/sh
# The part of the official entrypoint that WordPress needs: an empty data folder is filled, with one database and its user.
set -e
if [ ! -d /var/lib/mysql/mysql ]; then
  chown mysql:mysql /var/lib/mysql
  mariadb-install-db --user=mysql --datadir=/var/lib/mysql --skip-test-db >/dev/null
  # --init-file: one statement a line, else it is skipped without a word
  cat > /run/mysqld/init.sql <<SQL
CREATE DATABASE IF NOT EXISTS \`$MARIADB_DATABASE\`;
CREATE USER '$MARIADB_USER'@'%' IDENTIFIED BY '$MARIADB_PASSWORD';
GRANT ALL ON \`$MARIADB_DATABASE\`.* TO '$MARIADB_USER'@'%';
SQL
  set -- "$@" --init-file=/run/mysqld/init.sql
fi
exec "$@"
