#!/usr/bin/env bash
# Boots the real systemd, alone, over a copy of this system that is thrown away:
#   unshare --pid --fork --mount --uts --ipc service_machine.sh BASE GROUP PYTHON PACKAGES EDGE \
#     FILES SOUND
#
# BASE is an empty folder; GROUP, a control group that is made, is all that is left. Whatever is written goes to memory over it: nothing of the host changes.
# PYTHON (a prefix), PACKAGES, EDGE and SOUND, the folder of a virtual microphone, are seen in /opt,
# since the unit hides all homes; FILES is laid over /etc.
set -euo pipefail
base=$1 group=$2 python=$3 packages=$4 edge=$5 files=$6 sound=$7
root=$base/root

mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$base"
mkdir "$base/upper" "$base/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" machine "$root"

# systemd empties /tmp when it boots, the overlay's own. What else it keeps there is new as well.
for folder in /tmp /var/tmp /run /root /dev /etc/systemd/system; do
  mkdir -p "$root$folder"
  mount -t tmpfs -o mode=755 machine "$root$folder"
done
chmod 1777 "$root/tmp" "$root/var/tmp"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777 machine "$root/dev/shm"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mkdir "$root/sys/fs/cgroup/$group"
echo 0 >"$root/sys/fs/cgroup/$group/cgroup.procs"
umount "$root/sys/fs/cgroup"

rm -rf "$root"/{usr/,}lib/systemd/system/*.wants
mkdir -p "$root"/opt/{python,packages,earmark,microphone}
mount -o bind,ro "$python" "$root/opt/python"
mount -o bind,ro "$packages" "$root/opt/packages"
mount --bind "$sound" "$root/opt/microphone"
cp -r "$edge" "$root/opt/earmark/edge"
cp "$packages"/edge/_native.* "$root/opt/earmark/edge/"
cp -r "$files/." "$root/etc/"
: >"$root/etc/machine-id"

cd "$root"
export container=earmark
# In a namespace of control groups, of which its own is the root.
exec unshare --cgroup sh -c "mount -t cgroup2 cgroup2 sys/fs/cgroup &&
  exec chroot . /lib/systemd/systemd --system --unit=systemd-journald.socket"
