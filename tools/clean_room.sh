#!/usr/bin/env bash
# Developer tool: proves the README. Makes a folder with nothing but Debian 12's base, clones this repository's HEAD into it, and runs
# there, chrooted, what the README says: make demo, make test. Needs root, debootstrap, about 8 GB and the network for packages.
#
#   tools/clean_room.sh FOLDER [TARGET...]     default targets: demo test
#
# FOLDER is made, or used again if this script made it (then only the clone is new). What is used to fetch packages is this machine's own
# configuration of apt and pip. Nothing stays mounted: the mounts live in a namespace of their own and end with the last command.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  printf 'clean_room: %s\n' "$@" >&2
  exit 3
}
usage() {
  sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

[[ $# -ge 1 && $1 != -* ]] || usage
folder=$(realpath -m "$1")
shift
targets=("$@")
((${#targets[@]})) || targets=(demo test)
((EUID == 0)) || fail "needs root: debootstrap and chroot do"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
git diff --quiet HEAD || echo "clean_room: note: changes that are not committed are not in the clone" >&2

stamp=$folder/.clean-room
if [[ ! -e $stamp ]]; then
  [[ ! -e $folder || -z $(ls -A "$folder") ]] || fail "$folder is not empty and was not made by this script: name another one"
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk '$2 == "bookworm" {print $1; exit}')
  [[ -n $mirror ]] || fail "apt on this machine knows no source for bookworm: see /etc/apt/sources.list"
  debootstrap --variant=minbase bookworm "$folder" "$mirror" || fail "debootstrap failed: see above and $folder/debootstrap/debootstrap.log"
  touch "$stamp"
fi

# How this machine reaches its package sources.
for path in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/keyrings /usr/share/keyrings /etc/pip.conf /etc/resolv.conf \
  /etc/hosts /etc/ssl/certs /usr/local/share/ca-certificates; do
  [[ ! -e $path ]] || { mkdir -p "$folder$(dirname "$path")" && cp -rL --remove-destination "$path" "$folder$(dirname "$path")/"; }
done
settings=(HOME=/srv/home PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb LANG=C.UTF-8)
while IFS= read -r -d '' variable; do
  case $variable in
  PIP_FIND_LINKS=*) ;; # a folder of this machine, which the room does not have
  PIP_* | [Hh][Tt][Tt][Pp]_[Pp][Rr][Oo][Xx][Yy]=* | [Hh][Tt][Tt][Pp][Ss]_[Pp][Rr][Oo][Xx][Yy]=* | [Nn][Oo]_[Pp][Rr][Oo][Xx][Yy]=*) settings+=("$variable") ;;
  esac
done < <(env -0)

rm -rf "$folder/srv/flagrelease"
git clone --quiet --no-hardlinks . "$folder/srv/flagrelease"
echo "clean_room: $(git rev-parse --short HEAD) in $folder; make ${targets[*]}" >&2

# The README's first line, then its targets. The room gets its own /proc, and the host's devices.
unshare --mount --pid --fork --propagation private bash -euo pipefail -c '
  folder=$1 && shift
  mount -t proc proc "$folder/proc"
  mount --rbind /dev "$folder/dev"
  mount -t tmpfs tmpfs "$folder/tmp"
  exec chroot "$folder" env -i "$@"
' room "$folder" "${settings[@]}" bash -euo pipefail -c '
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends git make >/dev/null
  mkdir -p "$HOME"
  cd /srv/flagrelease
  for target; do
    start=$SECONDS
    make "$target"
    echo "clean_room: make $target: $((SECONDS - start)) s"
  done
' make "${targets[@]}"
