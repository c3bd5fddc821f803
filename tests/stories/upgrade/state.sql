BEGIN TRANSACTION;
CREATE TABLE bans (
        jail TEXT, who TEXT, at REAL, until REAL, cause TEXT, failures INTEGER, site TEXT, reason TEXT, times INTEGER DEFAULT 1, observed INTEGER DEFAULT 0, PRIMARY KEY (jail, who)
    ) WITHOUT ROWID;
INSERT INTO "bans" VALUES('manual','198.51.100.0/24',1.79604056010194611551e+09,9e999,'manual',0,'','spam',1,0);
INSERT INTO "bans" VALUES('observed','203.0.113.10',1796040560.0,2111400560.0,'failures',3,'{folder}/seen.log','',1,1);
INSERT INTO "bans" VALUES('wordpress','203.0.113.7',1796040558.0,2111400558.0,'failures',3,'{folder}/error.log','',1,0);
INSERT INTO "bans" VALUES('wordpress-access','2001:db8:1:2::/64',1.7960405601101868153e+09,2.11140056011018681521e+09,'manual',0,'','',1,0);
CREATE TABLE cursors (key TEXT PRIMARY KEY, state BLOB, touched REAL) WITHOUT ROWID;
INSERT INTO "cursors" VALUES('file:{folder}/error.log',CAST('1 {error.log} 485 256 880814113' AS BLOB),1.79604056029157733921e+09);
INSERT INTO "cursors" VALUES('file:{folder}/seen.log',CAST('1 {seen.log} 294 256 1738175612' AS BLOB),1.7960405600864341259e+09);
INSERT INTO "cursors" VALUES('file:{folder}/short.log',CAST('1 {short.log} 582 256 1910417444' AS BLOB),1.79604055908444333079e+09);
CREATE TABLE evidence (jail TEXT, who TEXT, lines TEXT, PRIMARY KEY (jail, who));
INSERT INTO "evidence" VALUES('wordpress','203.0.113.7','[30-Nov-2026 12:09:18 UTC] wordpress(blog)[7]: Authentication failure for admin from 203.0.113.7
[30-Nov-2026 12:09:18 UTC] wordpress(blog)[7]: Authentication failure for admin from 203.0.113.7
[30-Nov-2026 12:09:18 UTC] wordpress(blog)[7]: Authentication failure for admin from 203.0.113.7');
INSERT INTO "evidence" VALUES('observed','203.0.113.10','[30-Nov-2026 12:09:20 UTC] wordpress(blog)[7]: Authentication failure for admin from 203.0.113.10
[30-Nov-2026 12:09:20 UTC] wordpress(blog)[7]: Authentication failure for admin from 203.0.113.10
[30-Nov-2026 12:09:20 UTC] wordpress(blog)[7]: Authentication failure for admin from 203.0.113.10');
CREATE TABLE history (
        jail TEXT, who TEXT, times INTEGER, until REAL, PRIMARY KEY (jail, who)
    ) WITHOUT ROWID;
INSERT INTO "history" VALUES('short','203.0.113.9',2,1796040560.0);
CREATE TABLE hits (
        jail TEXT, who TEXT, at REAL, source TEXT, name TEXT, stream TEXT, line TEXT, target TEXT
    );
INSERT INTO "hits" VALUES('wordpress','203.0.113.8',1796040560.0,'file','{folder}/error.log','','[30-Nov-2026 12:09:20 UTC] wordpress(blog)[7]: Authentication failure for admin from 203.0.113.8','');
INSERT INTO "hits" VALUES('wordpress','203.0.113.8',1796040560.0,'file','{folder}/error.log','','[30-Nov-2026 12:09:20 UTC] wordpress(blog)[7]: Authentication failure for admin from 203.0.113.8','');
CREATE INDEX hits_of ON hits (who);
CREATE INDEX history_until ON history (until);
COMMIT;
PRAGMA user_version = 3;
