#!/bin/bash
# System packages for the bed and for development. Under a second when all of it is there. Nothing it installs is started.
set -euo pipefail

need=(
  python3 python3-venv python3-nftables   # the system's Python, and the only home of the nftables module
  docker.io nftables iptables iproute2 procps util-linux e2fsprogs openssl curl ca-certificates
  mmdebstrap                              # debian:trixie-slim where no registry answers
  hydra ncrack medusa nmap dirb           # attackers: make attacks
  fail2ban logwatch prometheus wrk        # the yardstick of the benchmark; promtool; load for a web server
  prometheus-alertmanager                 # and amtool: the monitoring profile's configuration
  firewalld ufw                           # neighbours in the kernel's firewall
  redis-server                            # the fleet's; its sentinel and its cluster are the same program
  apache2-bin haproxy lighttpd nghttp2-proxy nginx varnish  # 7 MB; real servers, whose access logs are read (tests/servers)
  php-cli                                 # runs the mu-plugin without WordPress
  chromium chromium-driver                # the status page in a browser
  tmux                                    # a real terminal, for the tables
  zsh fish mandoc man-db                  # shells that are completed; what reads man pages
  systemd                                 # systemd-analyze, for the unit in docs/firewall.md
)
# Split out or named differently by release: taken where they exist. (Debian 12's docker-compose is the old Python one:
# tests/bed/plugins.py has the way round that.)
wish=(docker-cli docker-buildx docker-compose-v2 debian-archive-keyring)

missing() {  # the arguments that dpkg does not have
  comm -23 <(printf '%s\n' "$@" | sort) \
    <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | awk '$2 == "installed" {print $1}' | sort)
}
refuse() { echo "setup.sh: $1" >&2; exit 1; }

command -v apt-get >/dev/null || refuse "needs apt-get: this is written for Debian 12, 13 and Ubuntu."
mapfile -t absent < <(missing "${need[@]}")
[ ${#absent[@]} -gt 0 ] || exit 0
[ "$(id -u)" = 0 ] || refuse "run it as root, it has to install: ${absent[*]}"

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
apt=(apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)

# A docker, fail2ban or prometheus that starts by itself would change this machine's own firewall and ports.
policy=/usr/sbin/policy-rc.d saved=$(mktemp -d)
restore() {
  rm -f "$policy"
  [ ! -e "$saved/policy" ] || mv "$saved/policy" "$policy"
  rm -rf "$saved"
}
[ ! -e "$policy" ] || mv "$policy" "$saved/policy"
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"

echo "setup.sh: installing ${absent[*]}"
"${apt[@]}" update
mapfile -t extra < <(apt-cache madison "${wish[@]}" 2>/dev/null | awk '{print $1}' | sort -u)
# trixie's docker-compose is version 2, a plugin; bookworm's is not
[[ $(apt-cache policy docker-compose | awk '$1 == "Candidate:" {print $2}') != 2.* ]] || extra+=(docker-compose)
"${apt[@]}" install -y --no-install-recommends "${absent[@]}" "${extra[@]}"

# Nor shall they start at the next boot, unless they were here before us.
if command -v systemctl >/dev/null; then
  for package in "${absent[@]}"; do
    case $package in
      docker.io) units=(docker.socket docker.service containerd.service) ;;
      nghttp2-proxy) units=(nghttpx.service) ;;
      varnish) units=(varnish.service varnishncsa.service) ;;
      fail2ban | firewalld | haproxy | lighttpd | nftables | nginx | prometheus | prometheus-alertmanager | redis-server | ufw) units=("$package.service") ;;
      *) continue ;;
    esac
    systemctl --quiet disable "${units[@]}" 2>/dev/null || true
  done
fi
