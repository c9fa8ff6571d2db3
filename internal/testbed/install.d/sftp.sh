# SFTP: OpenSSH's sshd and sftp-server. sshd starts itself anew and needs its whole path for that.
{ [ -x /usr/sbin/sshd ] && [ -x /usr/lib/openssh/sftp-server ] && command -v ssh-keyscan >/dev/null; } || apt_packages openssh-server openssh-sftp-server openssh-client
[ ! -x /usr/sbin/sshd ] || ln -sfn /usr/sbin/sshd "$bin/sshd"
