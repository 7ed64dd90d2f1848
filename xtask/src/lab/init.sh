#!/bin/busybox sh
# The first program of the lab: shows the host's files below a scratch layer, makes /dev/kvm what it is on a Debian
# machine, runs the command, and leaves its exit status where the host waits for it.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for m in /modules/*; do $b insmod "$m"; done

$b mkdir /lab
shared=trans=virtio,version=9p2000.L,msize=512000
$b mount -t 9p -o "cache=none,$shared" lab /lab || echo "lab: the host's control folder is missing"
# Sets: out, user, uid, release, modules (a folder, or nothing), reach (folders that the user must be able to enter)
. /lab/config
$b mount -t 9p -o "ro,cache=loose,$shared" host /lower || echo "lab: the host's file system is missing"
$b mount -t tmpfs -o size=75% tmpfs /upper
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /host
for d in proc sys dev; do $b mount --move /$d /host/$d; done
$b mkdir -p /host/tmp /host/run
$b mount -t tmpfs run /host/run
$b mkdir -p /host/dev/pts /host/dev/shm /host/run/lab
$b mount -t devpts -o mode=620,ptmxmode=666 devpts /host/dev/pts
$b mount -t tmpfs shm /host/dev/shm
$b mount --move /lab /host/run/lab
if [ -n "$out" ]; then
  $b mkdir -p "/host$out"
  $b mount -t 9p -o "cache=none,$shared" out "/host$out"
fi
if [ -n "$modules" ]; then
  $b mkdir -p "/host/lib/modules/$release"
  $b mount -o bind "/host$modules" "/host/lib/modules/$release"
fi
$b ip link set lo up

kvm=$($b awk -F: '$1 == "kvm" {print $3}' /host/etc/group)
if [ -z "$kvm" ]; then
  kvm=106
  echo "kvm:x:$kvm:" >> /host/etc/group
fi
for node in kvm vhost-net vhost-vsock; do
  if [ -e /host/dev/$node ]; then
    $b chown "0:$kvm" /host/dev/$node
    $b chmod 660 /host/dev/$node
  fi
done
[ ! -e /host/dev/net/tun ] || $b chmod 666 /host/dev/net/tun

as=
if [ -n "$user" ]; then
  echo "$user:x:$uid:$uid::/home/$user:/bin/bash" >> /host/etc/passwd
  echo "$user:x:$uid:" >> /host/etc/group
  $b mkdir -p "/host/home/$user" "/host/run/user/$uid"
  $b chown "$uid:$uid" "/host/home/$user" "/host/run/user/$uid"
  $b chmod 700 "/host/run/user/$uid"
  [ -z "$out" ] || $b chmod 777 "/host$out"
  $b chmod 1777 /host/tmp /host/dev/shm
  printf '%s\n' "$reach" | while read -r dir; do
    while [ "$dir" != / ] && [ -n "$dir" ]; do
      [ ! -d "/host$dir" ] || $b chmod o+x "/host$dir"
      dir=$($b dirname "$dir")
    done
  done
  as="setpriv --reuid=$uid --regid=$uid --groups=$uid,$kvm --no-new-privs"
fi
exec $b chroot /host /bin/bash -c '
  exec </dev/null >/dev/hvc0 2>&1
  stty -F /dev/hvc0 raw -echo
  setsid --wait '"$as"' bash /run/lab/command; status=$?
  sync
  echo $status > /run/lab/status.new
  mv /run/lab/status.new /run/lab/status
  busybox poweroff -f'
